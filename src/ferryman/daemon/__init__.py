"""The one place where parts meet: wiring and lifecycle."""
