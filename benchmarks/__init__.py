"""Benchmarks, one question a file.

Those which share `benchmarks.kit` are run as modules from the project's root,
`python -m benchmarks.scan`.
"""

import multiprocessing
import os
import signal

# OpenMP reads it when it is loaded, so nothing may be imported before. Threads that
# spin while they wait hold a core when the next contender begins: measured on two
# cores, 10.2 ms for NumPy's product after an OpenMP search instead of 6.8, and 22 ms
# for a FAISS search instead of 1.0.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Ctrl-C is for the benchmark: what it started ends with it, without a word.
if multiprocessing.parent_process() is not None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
