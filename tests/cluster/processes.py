"""The processes of shards, as the system sees them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matcher.trial import Nodes


def shard_processes(nodes: Nodes) -> list[int]:
    """Return the processes of shards on some nodes."""
    raylets = {
        str(node.all_processes["raylet"][0].process.pid)
        for node in nodes._cluster.list_all_nodes()
    }
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent in raylets and title.startswith(
            (b"ray::SoleShard", b"ray::SharedShard")
        ):
            found.append(int(process.name))
    return found
