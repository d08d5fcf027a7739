"""What runs in the demo's pods: programs that stand alone, started by the kubelet."""
