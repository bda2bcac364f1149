"""Where galleries are in memory: in this process, or on a cluster.

Here the two part ways, and nowhere else. Whoever follows the journal, plans, confirms
and answers does the same for both, and does not know which it is.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.settings import is_local
from biometrics.templates import Kind
from matcher.access import Keeping
from matcher.confirm import Holds
from matcher.engine import Engine
from matcher.follower import Followed
from matcher.index import Index
from matcher.keeper import Keeper
from matcher.learning import learn
from matcher.loading import Loading
from matcher.schedule import Comparing, Parts, in_this_process
from matcher.shard import ShardPlan
from matcher.shares import Sharing, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from biometrics.custody import Vault
    from biometrics.server.config import Config
    from biometrics.store import Store
    from biometrics.templates import TemplateSpaces
    from matcher.access import Loader
    from matcher.galleries import Galleries, GalleryName, Shelf
    from matcher.segments import SegmentFiles


class _Index(Followed, Protocol):
    """What follows the journal, and can be compared with what was counted."""

    def verify(self, counts: Mapping[GalleryName, int]) -> None:
        """Compare what was loaded with what was counted; see `Index.verify`."""


class _Engine(Parts, Holds, Protocol):
    """What is searched."""


class _Keeper(Keeping, Protocol):
    """What keeps codes on disk."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Save what was not saved yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Galleries, wherever they are.

    Attributes:
        index: follows the journal.
        engine: is searched.
        comparing: how that is done.
        threads: that do it; None for as many as there are cores.
        loading: makes galleries of one holder anew.
        keeper: keeps codes on disk.
        shards: how it is about each shard; there may be none.
        share_out: has another number of them, while all is served; None without any.
    """

    index: _Index
    engine: _Engine
    comparing: Comparing
    threads: int | None
    loading: Loader
    keeper: _Keeper
    shards: Callable[[], Sequence[Standing]]
    share_out: Callable[[int], None] | None


def refuse_without_ray() -> None:
    """Refuse what needs Ray where it is not installed.

    Raises:
        ConfigurationError: with what to install.
    """
    if find_spec("ray") is None:
        raise ConfigurationError(
            "EXTRA_MISSING",
            "shards need Ray, which is not installed: install the extra `cluster`,"
            " `pip install 'regional-biometrics-exchange[cluster]'`; or have galleries"
            ' in one process, as they are without `[matcher] engine = "ray"`',
        )


def refuse_sets(spaces: TemplateSpaces) -> None:
    """Refuse spaces that shards do not search: they are sent one vector of a probe.

    Raises:
        ConfigurationError: there is one.
    """
    named = [f"`{space.name}`" for space in spaces if space.kind is not Kind.VECTOR]
    if named:
        raise ConfigurationError(
            "KIND_NOT_SHARDED",
            f"{', '.join(named)}: shards search spaces of vectors alone; take it out of"
            ' `spaces.toml`, or set `[matcher] engine = "local"`',
        )


def prepare_ray(address: str) -> None:
    """Set what Ray reads when it is imported, where the operator has not.

    Args:
        address: of the head of a cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A stop in order is none of its business.
    os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")
    # What is larger goes by way of its object store, which may write it to a disk: the
    # probes of a pass are for nobody's.
    for name in ("max_direct_call_object_size", "task_rpc_inlined_bytes_limit"):
        os.environ.setdefault(f"RAY_{name}", str(limits.SHARD_CALL_BYTES))
    if is_local(address):
        # It takes the loopback address for another of this machine's otherwise.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


@contextmanager
def site_of(
    config: Config,
    store: Store,
    *,
    vault: Vault,
    spaces: TemplateSpaces,
    galleries: Galleries,
    files: SegmentFiles,
) -> Iterator[Site]:
    """Have galleries where the settings say, until the block ends.

    Raises:
        ConfigurationError: Ray is not installed, or the cluster cannot be joined.
    """
    if config.cluster is None:
        files.discard_shards()
        yield _here(store, vault, spaces, galleries=galleries, files=files)
        return
    refuse_without_ray()
    refuse_sets(spaces)
    prepare_ray(config.cluster.address)
    from matcher.fleet import Fleet, Others  # noqa: PLC0415 - an extra
    from matcher.remote import on_cluster  # noqa: PLC0415

    cluster = config.cluster
    sharing = Sharing(cluster.shards, cluster.templates_together, cluster.copies)
    plan = ShardPlan(
        number=0,
        sharing=sharing,
        database=config.database,
        segments=config.segments,
        spaces=tuple(spaces),
        threads=cluster.shard_cores,
    )
    others = store.front_ends
    name = "" if others is None else _name_of(vault)
    with (
        on_cluster(
            cluster.address, memory_bytes=cluster.shard_mb << 20, name=name
        ) as shards,
        Fleet(
            lambda sharing: shards.made(list(replace(plan, sharing=sharing).all())),
            sharing,
            vault=vault,
            galleries=galleries,
            register=store.register,
            is_trusted=store.register.is_whole(),
            beside=None
            if others is None
            else Others(others.is_alone, shards.strangers),
        ) as fleet,
    ):
        yield Site(
            index=fleet,
            engine=fleet,
            comparing=fleet.comparing,
            threads=fleet.threads,
            loading=fleet,
            keeper=fleet,
            shards=fleet.standings,
            # Of several front ends none can do it while others search what there is.
            share_out=fleet.share_out if others is None else None,
        )


def _name_of(vault: Vault) -> str:
    """Return by what the front ends of an exchange know its shards from others'."""
    return blake2b(vault.log_seed(), digest_size=16, person=b"shards").hexdigest()


def _here(
    store: Store,
    vault: Vault,
    spaces: TemplateSpaces,
    *,
    galleries: Galleries,
    files: SegmentFiles,
) -> Site:
    """Return galleries in this process."""
    engine: Engine[Shelf] = Engine()
    index = Index(
        vault=vault,
        spaces=spaces,
        engine=engine,
        galleries=galleries,
        learn=partial(learn, vault),
    )
    return Site(
        index=index,
        engine=engine,
        comparing=in_this_process(),
        threads=None,
        loading=Loading(
            index=index, journal=store.journal, register=store.register, files=files
        ),
        keeper=Keeper(index=index, engine=engine, galleries=galleries, files=files),
        shards=list,
        share_out=None,
    )
