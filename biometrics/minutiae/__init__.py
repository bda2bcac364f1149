"""Prints as sets of minutiae: what a template of one is, and how two are compared.

NumPy alone: it knows no space, no member and no index.
"""
