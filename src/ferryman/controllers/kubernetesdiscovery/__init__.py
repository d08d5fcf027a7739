"""The KubernetesDiscovery kind's controller: finds pods, keeps a Relay and a view on them."""
