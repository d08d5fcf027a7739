"""The process that looks at what is carried, so that the one that carries it need not.

``seeing`` says what is wanted, as plain data. ``spawn`` starts the process beside a data plane and
gives it the ``inspection.feed``; ``process`` is its inside: decode, filter, write (``writing``),
keep files (``files``, ``keeping``), or send exchanges back (``sending``). `ferry show` runs the
same inside on a file.
"""
