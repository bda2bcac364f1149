"""How many files and connections the process may have open."""

from __future__ import annotations

import logging
import resource

from biometrics import limits

log = logging.getLogger(__name__)


def allow_descriptors() -> None:
    """Let the process have as many descriptors as its connections take, if it may."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = limits.OPEN_DESCRIPTORS
    if most != resource.RLIM_INFINITY and most < allowed:
        allowed = most
        log.warning(
            "only %d descriptors are allowed, where all connections take %d: raise the"
            " limit (`LimitNOFILE=`, `ulimit -n`)",
            most,
            limits.OPEN_DESCRIPTORS,
        )
    if now != resource.RLIM_INFINITY and now < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
