"""What was said, said again: ``requests`` makes bytes of exchanges, ``differences`` compares; pure.

``cli.replay`` reads what was kept, and has the sockets.
"""
