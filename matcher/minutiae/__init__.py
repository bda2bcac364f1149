"""Prints as sets of minutiae: a descriptor for each minutia, and their comparison.

Arrays in, arrays out: NumPy alone, like the engine it is to serve. No template space
of this version holds sets; `benchmarks/fingers.py` measures what they would give.
"""
