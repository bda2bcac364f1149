"""A Ray cluster on one machine, to try shards and to test them: nodes are processes.

What it shows is how shards work together and fail, not how fast they are.
"""

from __future__ import annotations

import logging
import signal
import socket
import threading
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Self

from ray.cluster_utils import Cluster

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

# All of it on the loopback interface, and with nothing that only shows.
_NODE: Final[dict[str, Any]] = {
    "node_ip_address": "127.0.0.1",
    "object_store_memory": limits.TRIAL_OBJECTS_BYTES,
    "include_dashboard": False,
    "no_monitor": True,
    "include_log_monitor": False,
}


# Of what runs beside a node. Where Ray is to find free ones itself, it waits for 15 s
# for these programs to have started, which they may not on a busy machine.
_PORTS: Final = (
    "metrics_agent_port",
    "metrics_export_port",
    "dashboard_agent_listen_port",
    "runtime_env_agent_port",
)
_REAP_SECONDS: Final = 1.0
_TRIES: Final = 3  # a busy machine takes longer than Ray waits


class Nodes:
    """The nodes of a cluster; a context manager that ends them."""

    def __init__(self, count: int, *, memory_bytes: int, cores: int) -> None:
        """Have so many.

        Args:
            count: of nodes; the first one is the head.
            memory_bytes: that each offers to shards.
            cores: likewise.
        """
        self._count = count
        self._node = _NODE | {"memory": memory_bytes, "num_cpus": cores}
        self._cluster = Cluster()
        self._stopping = threading.Event()
        self._reaping = threading.Thread(target=self._reap, daemon=True)
        # It tells of every cluster that another one is the latest on this machine.
        logging.getLogger("ray").setLevel(logging.WARNING)

    def __enter__(self) -> Self:
        """Start them."""
        try:
            for _ in range(self._count):
                self.add()
        except BaseException:
            self._cluster.shutdown()
            raise
        self._reaping.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        self._stopping.set()
        self._reaping.join()
        self._cluster.shutdown()

    def _reap(self) -> None:
        """Take note of processes that have ended.

        Those of a node end when they see that it has, and it is there for them as long
        as nobody took note.
        """
        while not self._stopping.wait(_REAP_SECONDS):
            for node in self._cluster.list_all_nodes():
                for each in chain.from_iterable(list(node.all_processes.values())):
                    each.process.poll()

    @property
    def address(self) -> str:
        """Host and port of the head."""
        address: str = self._cluster.address
        return address

    def add(self) -> None:
        """Add a node."""
        for left in reversed(range(_TRIES)):
            try:
                with _signals_kept():
                    self._cluster.add_node(**self._node, **_ports())
            except Exception:  # Ray's own are no more than that
                if not left:
                    raise
            else:
                return


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Have signals do after the block what they did before.

    Ray has SIGTERM end its nodes, and whoever runs them goes on without. They end with
    this process, however it does.
    """
    kept = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _ports() -> dict[str, int]:
    """Return a free port for each of `_PORTS`."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in _PORTS]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        numbers = [int(each.getsockname()[1]) for each in sockets]
    return dict(zip(_PORTS, numbers, strict=True))
