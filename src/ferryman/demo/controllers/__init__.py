"""The controllers of the demo's cluster: each a pure plan, and a reconciler that carries it out."""
