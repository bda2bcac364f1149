"""A shard on a Ray cluster: all that is known of Ray is here.

Ray decides on which machine an actor runs, by the memory and cores that it asks for;
starts it anew, elsewhere if need be, when its process or machine is gone; and carries
its calls. A call is never repeated by Ray: the process that answers may be another.

Copies of a shard are on nodes of their own: a placement group of theirs is spread
strictly, so that Ray keeps them apart also when it starts one anew. Its other ways are
no more than wishes, of which nothing is left when a node is lost.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import ray
from ray import exceptions
from ray._private import state
from ray._private.state import available_resources_per_node
from ray.core.generated.gcs_pb2 import ActorTableData
from ray.util import (
    get_current_placement_group,
    get_placement_group,
    list_named_actors,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from biometrics import limits
from biometrics.errors import ConfigurationError, StorageError
from matcher.calls import LostError, SlowError, call
from matcher.joining import refuse_cluster, refuse_without_tls
from matcher.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from matcher.calls import Call
    from matcher.shard import ShardPlan

log = logging.getLogger(__name__)

_NAMESPACE: Final = "biometrics"  # of names of shards

# Threads by what they do, so that no search waits for a load.
_THREADS: Final = {
    "search": limits.SHARD_CALLS_AT_ONCE,
    "follow": 1,
    "load": limits.LOADING_THREADS,
    "keep": 1,
}


# Of an actor, after its process or node has ended.
_GONE: Final = frozenset({"RESTARTING", "PENDING_CREATION", "DEAD"})
_WAITING: Final = frozenset({"RESTARTING", "PENDING_CREATION"})


class SoleShard(Shard):
    """One that ends when nobody asks it anything for a while, with all that it holds.

    Its exchange asks time and again. Where its node was lost, but for this process, or
    is cut off, Ray has said that it is gone, and a lock has not waited for it.
    """

    def __init__(self, plan: ShardPlan) -> None:
        """Begin with nothing; see `Shard`."""
        super().__init__(plan)
        threading.Thread(target=self._end_unasked, daemon=True).start()

    def _end_unasked(self) -> None:
        silent = limits.SHARD_SILENT_SECONDS
        while (left := self.asked_at + silent - time.monotonic()) > 0:
            time.sleep(left)
        self._end()

    def _end(self) -> None:
        """End, whatever it does; Ray starts another, which has nothing, if it can."""
        os._exit(1)


class SharedShard(SoleShard):
    """One that several front ends speak to, and that ends when none does any more.

    It belongs to no driver: with whichever front end has made it, others have it.
    """

    def is_unasked(self) -> bool:
        """Say whether nobody seems to speak to it; that is not to ask it anything.

        Copies are asked at about the same time, and do not end at the same moment: if
        one is to end, it is so of the others long before they are.
        """
        silent = time.monotonic() - self.asked_at
        return silent > limits.SHARD_SILENT_SECONDS / 2

    def _end(self) -> None:
        """Have Ray end it and start no other; else it ends by itself.

        Alone, if another copy is asked; else all of them, with what they had of nodes.
        """
        by_itself = threading.Timer(limits.SHARD_STOP_SECONDS, super()._end)
        by_itself.daemon = True
        by_itself.start()  # whatever becomes of what Ray is asked
        group = get_current_placement_group()
        if group is None or self._is_another_asked():
            ray.kill(ray.get_runtime_context().current_actor)
        else:  # that ends who is in it: see `RayShard.is_gone`
            remove_placement_group(group)

    def _is_another_asked(self) -> bool:
        """Say whether somebody speaks to another copy, as far as can be told."""
        own = ray.get_runtime_context().get_actor_name()
        for other in _there(name for name in _copies(own) if name != own):
            sent = other.send(call("is_unasked"))
            try:
                is_unasked = other.answer(sent, seconds=limits.SHARD_GREET_SECONDS)
            except LostError:
                is_unasked = False  # for all that is known
            if not is_unasked:
                return True
        return False


@contextmanager
def _translated() -> Iterator[None]:
    """Raise a StorageError where Ray cannot tell, or do, anything now."""
    try:
        yield
    except exceptions.RayError as error:
        raise StorageError(
            "CLUSTER_AWAY", f"Ray does not answer now: {type(error).__name__}"
        ) from error


class FoundShard:
    """A shard that is there, wherever it runs."""

    _ended_at: int | None = None  # how often Ray had started it anew by then

    def __init__(self, actor: Any) -> None:  # noqa: ANN401
        """Speak to an actor."""
        self._speak_to(actor)

    def _speak_to(self, actor: Any) -> None:  # noqa: ANN401
        self._actor = actor
        # Each made once: that takes as long as to send a call.
        self._method = cache(self._method_of)

    def send(self, asked: Call) -> Any:  # noqa: ANN401
        """Send a call; the answer is for `answer`."""
        method = self._method(asked.method, asked.group)
        return method.remote(*asked.arguments, **asked.more)

    def _method_of(self, name: str, group: str | None) -> Any:  # noqa: ANN401
        """Return a method there, on a group of threads."""
        method = getattr(self._actor, name)
        return method if group is None else method.options(concurrency_group=group)

    def answer(self, sent: Any, *, seconds: float) -> Any:  # noqa: ANN401
        """Return what a call that was sent returns.

        Raises:
            LostError: it was not answered.
            SlowError: it was not answered yet.
        """
        try:
            return ray.get(sent, timeout=seconds)
        except exceptions.GetTimeoutError as error:
            raise SlowError(seconds) from error
        except exceptions.RayTaskError as error:
            raise LostError(f"it failed: {error.cause!r}", is_alive=True) from error
        except exceptions.UnserializableException as error:
            raise LostError("it failed", is_alive=True) from error
        except exceptions.RayError as error:
            raise LostError(type(error).__name__) from error

    def is_gone(self) -> bool:
        """Say whether Ray has seen the end of the process that was there last."""
        told = self._told()
        is_another = self._ended_at is not None and _restarts(told) > self._ended_at
        return is_another or told.get("State") in _GONE

    def _told(self) -> dict[str, Any]:
        """Return what Ray says of it."""
        with _translated():
            told: dict[str, Any] = state.actors(self._actor._actor_id.hex())  # noqa: SLF001
        return told

    def end(self) -> None:
        """Have its process end; `is_gone` says when it has.

        Where Ray is to start no other it says so at once, whether the process is gone
        or not, which may take milliseconds, or seconds where it hangs.
        """
        self._ended_at = _restarts(self._told())
        with _translated():
            ray.kill(self._actor, no_restart=False)

    def free(self) -> None:
        """End it for good."""
        ray.kill(self._actor)


class Stranger(FoundShard):
    """One that was not made here: of other settings, perhaps nobody's any more."""

    def __init__(self, name: str) -> None:
        """Speak to an actor of that name.

        Raises:
            ValueError: there is none.
        """
        super().__init__(ray.get_actor(name))
        self._name = name

    def free(self) -> None:
        """End it for good; with the last copy goes the group of all."""
        super().free()
        if not _there(_copies(self._name)):
            with suppress(ValueError):  # they have none
                remove_placement_group(get_placement_group(_of_shard(self._name)))


class RayShard(FoundShard):
    """One copy of a shard, which is had back when it is lost."""

    def __init__(
        self,
        plan: ShardPlan,
        *,
        memory_bytes: int,
        group_of: Callable[[], PlacementGroup] | None = None,
        name: str = "",
    ) -> None:
        """Have Ray place it where there is so much memory, now or later.

        Of the copies of a shard each has its place in their group, which is asked for
        whenever one is made: it goes with them. Where there are several front ends, who
        names it first makes it, and the others have the same.
        """
        self.number, self.copy = plan.number, plan.copy
        self._plan = plan
        self._looking = threading.Lock()
        self._group_of = group_of
        self._kind: type[SoleShard] = SoleShard
        self._options: dict[str, Any] = {
            "num_cpus": plan.threads,
            "memory": memory_bytes,
            "max_restarts": -1,
            "max_task_retries": 0,
            "concurrency_groups": _THREADS,
        }
        if name:
            self._kind = SharedShard
            self._options |= {
                "name": f"{name}/{plan.number}/{plan.copy}",
                "lifetime": "detached",
                "get_if_exists": True,
            }
        self._have()

    def _have(self) -> None:
        """Have it made, or found."""
        self._group = None if self._group_of is None else self._group_of()
        where = (
            "SPREAD"
            if self._group is None
            else PlacementGroupSchedulingStrategy(self._group, self.copy)
        )
        kind = ray.remote(**self._options, scheduling_strategy=where)(self._kind)
        self._speak_to(kind.remote(self._plan))

    def is_gone(self) -> bool:
        """Say whether Ray has seen the end of the process that was there last."""
        with self._looking:  # or two would have it made
            if self._ended_at is not None:
                return super().is_gone()
            told = self._told().get("State")
            if told in _WAITING and self._has_no_group():
                ray.kill(self._actor)  # or Ray has it wait for ever
            if told == "DEAD":
                self._have()  # another front end has ended it, or it has by itself
            return told in _GONE

    def _has_no_group(self) -> bool:
        """Say whether the group is no more that it has its place in.

        It may be another than the one of that name by now.
        """
        accessor = state.state._connect_and_get_accessor()  # noqa: SLF001
        told = accessor.get_actor_info(self._actor._actor_id) or b""  # noqa: SLF001
        if not (group := ActorTableData.FromString(told).placement_group_id):
            return False  # it is by itself
        of_group = placement_group_table(PlacementGroup(ray.PlacementGroupID(group)))
        return of_group.get("state") in {"REMOVED", None}

    def waits_for(self) -> str:
        """Say what it waits for that is not started; empty where it does not wait."""
        if self._told().get("State") not in _WAITING:
            return ""
        cores, memory = self._options["num_cpus"], self._options["memory"]
        told = ", ".join(
            f"{node.get('CPU', 0):g} and {node.get('memory', 0) / (1 << 20):.0f} MB"
            for node in available_resources_per_node().values()
        )
        return (
            f"it waits for a node that has free {cores} of cores and {memory >> 20} MB;"
            f" nodes have {told}"
        )

    def restart(self) -> None:
        """End its process; Ray starts another."""
        ray.kill(self._actor, no_restart=False)

    def free(self) -> None:
        """End it for good; with the first copy goes the group of all."""
        super().free()
        if self._group is not None:
            remove_placement_group(self._group)


class Shards:
    """The shards of an exchange on a cluster that it has joined."""

    def __init__(self, memory_bytes: int, name: str) -> None:
        """Have shards that ask for so much memory each; see `on_cluster`."""
        self._memory_bytes = memory_bytes
        self._name = name
        self._own: set[str] = set()  # by what those of one plan are told apart

    def made(self, plans: Sequence[ShardPlan]) -> list[RayShard]:
        """Return the shards of a plan: made, or those that are there by its name."""
        name = ""
        if self._name:  # those of other settings are others
            name = f"{self._name}/{_told_apart(plans[0])}"
            self._own.add(name)
        groups = _groups(plans, self._memory_bytes, name)
        make = partial(RayShard, memory_bytes=self._memory_bytes, name=name)
        return [make(plan, group_of=groups.get(plan.number)) for plan in plans]

    def strangers(self) -> list[Stranger]:
        """Return shards of the exchange that were not made here: of other settings.

        None of those of which there is no process: they hold nothing.

        Raises:
            StorageError: Ray does not tell now.
        """
        own = tuple(f"{of_plan}/" for of_plan in self._own)
        with _translated():
            names = [n for n in list_named_actors() if n.startswith(f"{self._name}/")]
            return _there(name for name in names if not name.startswith(own))


@contextmanager
def on_cluster(address: str, *, memory_bytes: int, name: str = "") -> Iterator[Shards]:
    """Give what makes shards on a Ray cluster that is there; they end with the block.

    Args:
        address: host and port of its head.
        memory_bytes: that each asks for.
        name: of the exchange, where it has several front ends: shards of that name are
            everybody's, and outlive the block. Empty where it has one.

    Raises:
        ConfigurationError: the cluster cannot be joined.
    """
    _join(address)
    try:
        yield Shards(memory_bytes, name)
    finally:
        ray.shutdown()


def _restarts(told: Mapping[str, Any]) -> int:
    """Return how often Ray has started an actor anew, by what it says of it."""
    return int(told.get("NumRestarts", 0))


def _there(names: Iterable[str]) -> list[Stranger]:
    """Return those shards of some names of which there is a process."""
    found = []
    for name in names:
        with suppress(ValueError):  # it has ended since
            shard = Stranger(name)
            found += [] if shard.is_gone() else [shard]
    return found


def _copies(name: str) -> list[str]:
    """Return the names of all copies of the shard that one of such a name is of."""
    return [n for n in list_named_actors() if _of_shard(n) == _of_shard(name)]


def _of_shard(name: str) -> str:
    """Return what copies of a shard have in their names; that of their group."""
    return name.rsplit("/", 1)[0]


def _told_apart(plan: ShardPlan) -> str:
    """Return what tells the shards of one plan from those of another."""
    spaces = sorted((space.name, space.identity) for space in plan.spaces)
    told = repr((plan.sharing, plan.database, plan.threads, spaces))
    return blake2b(told.encode(), digest_size=8).hexdigest()


def _groups(
    plans: Sequence[ShardPlan], memory_bytes: int, name: str
) -> dict[int, Callable[[], PlacementGroup]]:
    """Return what tells where copies of a shard are to be, by its number.

    Nothing where each has one; or where there are fewer nodes than copies, as on one
    machine: they would never be placed, and are better together than not there.
    """
    copies = Counter(plan.number for plan in plans)
    bundle: dict[str, float] = {
        "CPU": max(plan.threads for plan in plans),
        "memory": memory_bytes,
    }
    most = max(copies.values())
    if most == 1:
        return {}
    if _nodes_for(bundle) < most:
        log.warning(
            "there are fewer nodes with room for a shard than copies of each: copies"
            " may be on the same node, and are lost with it"
        )
        return {}
    bundles = [bundle] * most
    if name:
        return {n: partial(_group, bundles, f"{name}/{n}") for n in copies}
    return {n: cache(partial(_group, bundles, "")) for n in copies}


def _group(bundles: list[dict[str, float]], name: str) -> PlacementGroup:
    """Return a group whose parts are on nodes of their own; of a name there is one."""
    if not name:
        return placement_group(bundles, strategy="STRICT_SPREAD")
    try:
        return get_placement_group(name)
    except ValueError:  # there is none yet
        pass
    try:
        return placement_group(
            bundles, strategy="STRICT_SPREAD", name=name, lifetime="detached"
        )
    except exceptions.RaySystemError:  # another front end was first
        return get_placement_group(name)


def _nodes_for(bundle: Mapping[str, float]) -> int:
    """Return how many nodes have as much of everything, whoever uses it."""
    return sum(
        node["Alive"] and all(node["Resources"].get(k, 0) >= bundle[k] for k in bundle)
        for node in ray.nodes()
    )


def _join(address: str) -> None:
    """Take part in a cluster that is there, for as long as this process lives.

    Args:
        address: host and port of its head.

    Raises:
        ConfigurationError: it cannot be reached, or is open to everybody.
    """
    refuse_cluster(address)
    try:
        # From the main thread it would take the signals that drain an exchange.
        with ThreadPoolExecutor(1) as aside:
            aside.submit(
                ray.init,
                address=address,
                namespace=_NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
            ).result()
    except (ConnectionError, RuntimeError, exceptions.RayError) as error:
        raise ConfigurationError(
            "CLUSTER_UNREACHABLE",
            f"the Ray cluster at `{address}` cannot be joined: {error}; see that the"
            " exchange has the token that its nodes have",
        ) from error
    # What is at a loopback address may speak to others by another.
    nodes = [f"{node['NodeManagerAddress']}:0" for node in ray.nodes() if node["Alive"]]
    try:
        refuse_without_tls(nodes)
    except ConfigurationError:
        ray.shutdown()
        raise
