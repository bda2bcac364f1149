"""Calibration of a template space on files: which cosine keeps which promise.

captures.py   files as unit vectors, with whom they are of
searches.py   every probe against every template, a block at a time
tail.py       the tail of search maxima, and how far it is known
weights.py    what a score weighs beside those of other fingers, or of a face
measure.py    the main path

Needs SciPy, of the extra `calibrate`; the server needs only the file that comes of it.
"""
