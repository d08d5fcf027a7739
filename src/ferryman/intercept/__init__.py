"""Takes a UNIX socket's place and always puts it back.

``tapping`` is what others use; it starts a ``guardian``, a process of its own that moves the socket
aside (``swap``, after writing the ``journal``) and restores it whatever happens to us (``verdict``
says how). ``repair`` is for the next command, should both have been killed.
"""
