"""The demo's node: runs pods as processes, probes them, keeps their logs, lets them die."""
