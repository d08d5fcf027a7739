"""Wire protocols as machines without I/O."""
