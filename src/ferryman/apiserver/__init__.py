"""A Kubernetes-style HTTP API over any ``Scheme`` and any ``ObjectClient``.

``app`` puts the parts together and says what a caller can hook in; ``server`` owns the listener.
"""
