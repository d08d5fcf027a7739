"""Carries sockets across: relays, Kubernetes forwards that heal, and an API for both."""

__version__ = "0.1.0"
