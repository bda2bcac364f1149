"""What all benchmarks share, so that their figures can stand beside one another.

    command.py      options that all take, and how a run ends
    galleries.py    unit vectors with known truth, of a known hardness
    thresholds.py   the cosine at which a search errs as often as promised
    timing.py       contenders timed in turns, and the ratio of two of them
    machine.py      what they ran on
    results.py      figures kept in a file, row by row
    tables.py       figures printed
    plots.py        figures drawn

It is imported as `benchmarks.kit`, which works where the project's root is on the path:
run what uses it as a module, `python -m benchmarks.scan`, from the project's root.
"""
