"""The process that looks at what is carried, so that the one that carries it need not.

``seeing`` says what is wanted, as plain data. ``spawn`` starts the process beside a data plane and
gives it the ``inspection.feed``; ``process`` is its inside: decode, filter and show (``pipeline``),
keep files (``files``, ``keeping``), send exchanges back (``sending``, ``receiving``). `ferry show`
runs the same inside on a file.
"""
