"""How a cluster is reached: kubeconfig, credentials, TLS."""
