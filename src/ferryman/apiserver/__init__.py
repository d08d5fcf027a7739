"""Any scheme and any ObjectClient as an HTTP API that kubectl takes for Kubernetes."""
