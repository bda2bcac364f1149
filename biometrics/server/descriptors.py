"""How many files and connections the process may have open."""

from __future__ import annotations

import logging
import resource

from biometrics import limits

log = logging.getLogger(__name__)


def wanted_descriptors(connections: int) -> int:
    """Return how many descriptors an exchange takes at most.

    A connection takes one, at either door. Many systems begin with 1,024.
    """
    return 2 * connections + limits.SPARE_DESCRIPTORS


def allow_descriptors(connections: int) -> None:
    """Let the process have as many descriptors as its connections take, if it may.

    Args:
        connections: how many there may be at each door.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted = wanted_descriptors(connections)
    if most != resource.RLIM_INFINITY and most < allowed:
        allowed = most
        log.warning(
            "only %d descriptors are allowed, where all connections take %d: raise the"
            " limit (`LimitNOFILE=`, `ulimit -n`)",
            most,
            wanted,
        )
    if now != resource.RLIM_INFINITY and now < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
