"""ObjectClient over HTTP, and informers on it."""
