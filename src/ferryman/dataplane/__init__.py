"""All bytes: one readiness loop that listens, dials and carries."""
