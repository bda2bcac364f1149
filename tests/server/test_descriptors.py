"""An exchange has as many descriptors as its connections take, if it may."""

from __future__ import annotations

import subprocess
import sys

import pytest

from biometrics.server.descriptors import wanted_descriptors

ALLOW = """
import resource, sys
from biometrics.server.descriptors import allow_descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
allow_descriptors(384)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
WANTED = wanted_descriptors(384)


@pytest.mark.parametrize(
    ("soft", "hard", "allowed"),
    [
        (1024, WANTED + 1, WANTED),
        (WANTED + 1, WANTED + 1, WANTED + 1),
        (256, 1024, 1024),
    ],
)
def test_what_is_allowed_is_taken_and_too_little_is_told(
    soft: int, hard: int, allowed: int
):
    """Many systems begin with fewer than there may be connections."""
    command = [sys.executable, "-c", ALLOW, str(soft), str(hard)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(ended.stdout) == allowed
    assert ("LimitNOFILE" in ended.stderr) == (hard < WANTED)
