"""A small cluster in a box that speaks the real wire: for newcomers and for tests."""
