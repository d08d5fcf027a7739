"""What is special to Kubernetes: targets, pods, dial specs, RBAC hints."""
