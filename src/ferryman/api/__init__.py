"""What objects look like and how they are reached: kinds, codec, the ObjectClient contract."""
