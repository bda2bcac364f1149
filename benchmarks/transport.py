"""Which gRPC server carries more: a thread pool, or asyncio with two workers?

Both serve the same method over mutual TLS on loopback, each in a process of its
own: a request of one 512-d template, about 1.3 ms of work without the interpreter
lock (a hash of 2 MiB, standing for a scan) and a little with it, an answer of 4 KiB.
The load comes from another process. Decided: asyncio (`biometrics.server`).

    python benchmarks/transport.py [--seconds 4] [--rounds 2] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import platform
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from biometrics.clock import SystemClock
from biometrics.server.pki import make_development_pki

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Event

CALLERS = (1, 8, 32)
WORK = bytes(1 << 21)
REQUEST = bytes(2100)
RESPONSE = bytes(4096)


def work(_request: bytes) -> bytes:
    """Stand for one search."""
    hashlib.sha256(WORK).digest()
    for _ in range(3000):
        pass
    return RESPONSE
