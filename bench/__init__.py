"""Us and our peers, side by side in one run.

``python -m bench`` (`make bench`) measures ``ferry relay`` and ``ferry forward`` beside the
programs that people use today and prints ratios. ``relay`` and ``forward`` say what is measured,
``load`` and ``backend`` make the traffic, ``programs`` starts and weighs the contenders, ``rounds``
interleaves them, ``report`` turns figures into the tables of docs/performance.md.
"""
