"""What every part stands on: clock, backoff, tasks, TLS settings."""
