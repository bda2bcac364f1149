"""Readers of interchange formats, one module each: bytes in, arrays out."""
