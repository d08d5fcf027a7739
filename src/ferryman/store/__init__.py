"""Memory is the truth: objects, versions, history for watches."""
