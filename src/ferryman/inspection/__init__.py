"""What two servers say to each other: bytes in, what they mean out; pure.

``feed`` is what the data plane tells of observed connections. ``session`` hands each connection's
bytes to a ``decoder``, which says ``events``; ``exchanges`` puts these together, ``forms`` writes
them as text and ``exports`` as files. Nothing in here can touch the stream.
"""
