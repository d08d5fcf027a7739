"""One package a kind: a pure plan and a reconciler that acts on it."""
