"""What can be seen of an exchange while it runs, as Prometheus reads it.

Whoever reads figures must learn nothing of a person, nor of what one member found at
another. So no figure has a member in it but the sizes of galleries, in powers of four;
none says what an answer said; and times are in coarse steps: those of whole calls in
steps that slots leave, those of stages in steps of four, for what is compared longer
may be somebody. Figures are read over plain HTTP, on loopback unless told otherwise.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from biometrics import limits
from biometrics.errors import ConfigurationError, ExchangeError
from biometrics.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from biometrics.calibration import Drift
    from biometrics.callers import Caller
    from biometrics.members import Member
    from biometrics.server.hour import Hour
    from matcher.shares import Standing

# In seconds. A search takes two slots, 50 ms unless set otherwise.
_STEPS: Final = (0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0, 20.0, 300.0)
# Of a stage: finer ones would tell, by how long was compared, whether there was
# anything to confirm.
STAGE_STEPS: Final = (0.004, 0.016, 0.064, 0.256, 1.0, 4.0, 16.0, 300.0)
_NEVER: Final = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """Where figures come from that are read when they are asked for.

    Attributes:
        serving: whether the exchange can be called.
        waiting: searches that wait for their turn.
        at_once: how many searches may run at present.
        overruns: slots that searches took beyond their first.
        behind: changes that are durable and not searchable yet.
        galleries: templates of each member, in all spaces.
        calibrations: of each space that is calibrated by measurement, how many
            comparisons a search has, and up to how many it is good.
        canaries: what came of searches for nobody, by template space.
        certificate_seconds: until the server's certificate ends.
        revocation_seconds: until nobody is believed; infinite where no list is asked.
        shards: how it is about each shard; there may be none.
    """

    serving: Callable[[], bool]
    waiting: Callable[[], int]
    at_once: Callable[[], float]
    overruns: Callable[[], int]
    behind: Callable[[], int]
    galleries: Callable[[], Mapping[Member, int]]
    calibrations: Callable[[], Mapping[str, tuple[int, int]]]
    canaries: Callable[[], Mapping[str, Drift]]
    certificate_seconds: Callable[[], float]
    revocation_seconds: Callable[[], float | None]
    shards: Callable[[], Sequence[Standing]]


class Metrics:
    """The figures of one exchange."""

    def __init__(self, hour: Hour) -> None:
        """Begin at nought; `hour` has each member's own calls."""
        self._hour = hour
        self._registry = CollectorRegistry()
        calls = Counter(
            "biometrics_calls",
            "Calls that ended, by method, role and status: OK, or why not.",
            ("method", "role", "status"),
            registry=self._registry,
        )
        seconds = Histogram(
            "biometrics_call_seconds",
            "How long calls took that were answered, from admission to answer.",
            ("method",),
            buckets=_STEPS,
            registry=self._registry,
        )
        # Words of ours alone, and so few; to look one up takes as long as to count.
        self._calls = cache(calls.labels)
        self._seconds = cache(seconds.labels)
        self._turn = Histogram(
            "biometrics_turn_wait_seconds",
            "How long searches waited for their member's turn.",
            buckets=_STEPS,
            registry=self._registry,
        )
        stages = Histogram(
            "biometrics_stage_seconds",
            "How long stages of searches took; between them they wait for their slot.",
            ("stage",),
            buckets=STAGE_STEPS,
            registry=self._registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in Stage}
        self._scanned = Counter(
            "biometrics_templates_scanned",
            "Templates that searches were compared with, of each rounded up.",
            registry=self._registry,
        )

    def ended(
        self, method: str, caller: Caller | None, status: str, seconds: float
    ) -> None:
        """Count a call.

        Args:
            method: one that is served, or `-`.
            caller: if it is known.
            status: `OK` or a reason: a word of ours, never of a caller's.
            seconds: that it took.
        """
        role = caller.role if caller else "-"
        self._calls(method, role, status).inc()
        taken = step(seconds, _STEPS)
        if caller is not None:
            self._hour.ended(caller.member, method, status, taken)
        if status == "OK":
            self._seconds(method).observe(taken)

    def waited(self, seconds: float) -> None:
        """Count a search that has its turn."""
        self._turn.observe(step(seconds, _STEPS))

    def took(self, stage: Stage, seconds: float) -> None:
        """Count a stage of a search."""
        self._stages[stage].observe(step(seconds, STAGE_STEPS))

    def scanned(self, templates: int) -> None:
        """Count what a probe is compared with."""
        self._scanned.inc(coarse(templates))

    def watch(self, gauges: Gauges) -> None:
        """Read some figures whenever they are asked for."""
        self._gauge("serving", "1 if the exchange can be called.", gauges.serving)
        self._gauge(
            "searches_waiting", "Searches that wait for their turn.", gauges.waiting
        )
        self._gauge(
            "searches_at_once",
            "At most how many searches may run now, beside the first of each member.",
            gauges.at_once,
        )
        self._gauge(
            "slot_overruns",
            "Slots that searches took beyond their first, since the start.",
            gauges.overruns,
        )
        self._gauge(
            "follower_behind_changes",
            "Changes that are durable and not searchable yet.",
            gauges.behind,
        )
        self._gauge(
            "certificate_seconds_left",
            "Until the server's certificate ends.",
            gauges.certificate_seconds,
        )
        self._gauge(
            "revocations_seconds_left",
            "Until the list of revoked certificates ends, and nobody is believed.",
            lambda: _or_never(gauges.revocation_seconds()),
        )
        self._registry.register(_Sizes(gauges.galleries))
        self._registry.register(_Used(gauges.calibrations))
        self._registry.register(_Shards(gauges.shards))
        self._registry.register(_Drifts(gauges.canaries))

    def serve(self, address: str) -> Callable[[], None]:
        """Serve the figures over HTTP at `host:port`; return what ends that.

        Raises:
            ConfigurationError: the port cannot be had.
        """
        host, _, port = address.rpartition(":")
        try:
            server, thread = start_http_server(
                int(port), host.strip("[]"), registry=self._registry
            )
        except OSError as error:
            raise ConfigurationError(
                "PORT_UNAVAILABLE",
                f"cannot serve figures on `{address}`: the port is in use, or the"
                " address is not this machine's; see [metrics] listen",
            ) from error

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop

    def _gauge(self, name: str, told: str, read: Callable[[], float]) -> None:
        """Add one figure that is read when it is asked for."""
        gauge = Gauge(f"biometrics_{name}", told, registry=self._registry)
        gauge.set_function(lambda: _or_unknown(read))


class _Sizes(Collector):
    """The sizes of all galleries, asked for at once; none while nobody can tell."""

    def __init__(self, read: Callable[[], Mapping[Member, int]]) -> None:
        """Read them by `read`."""
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the one figure; see `prometheus_client.registry.Collector`."""
        sizes = GaugeMetricFamily(
            "biometrics_gallery_templates_at_most",
            "Templates of a member, rounded up to a power of four.",
            labels=("member",),
        )
        with suppress(ExchangeError):
            for member, templates in self._read().items():
                sizes.add_metric((member.code,), coarse(templates))
        yield sizes


class _Used(Collector):
    """How much of what calibrations are good for is used up."""

    def __init__(self, read: Callable[[], Mapping[str, tuple[int, int]]]) -> None:
        """Read it by `read`."""
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the one figure; see `prometheus_client.registry.Collector`."""
        used = GaugeMetricFamily(
            "biometrics_calibration_used_at_most",
            "Comparisons of a search, rounded up to a power of four, to those that the"
            " calibration of the space is good for; above 1 no rate may be kept.",
            labels=("space",),
        )
        for space, (comparisons, reach) in self._read().items():
            used.add_metric((space,), coarse(comparisons) / reach)
        yield used


class _Shards(Collector):
    """How it is about each shard of a cluster."""

    def __init__(self, read: Callable[[], Sequence[Standing]]) -> None:
        """Read it by `read`."""
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield both figures; see `prometheus_client.registry.Collector`."""
        searched = GaugeMetricFamily(
            "biometrics_shard_searched",
            "1 if a copy of a shard is searched, 0 while it is lost; its holders are"
            " UNAVAILABLE while all copies are.",
            labels=("shard", "copy"),
        )
        held = GaugeMetricFamily(
            "biometrics_shard_templates_at_most",
            "Templates of a copy of a shard, rounded up to a power of four.",
            labels=("shard", "copy"),
        )
        for shard in self._read():
            labels = str(shard.number), str(shard.copy)
            searched.add_metric(labels, shard.is_ready)
            held.add_metric(labels, coarse(shard.templates))
        yield from (searched, held)


class _Drifts(Collector):
    """What came of searches for nobody."""

    def __init__(self, read: Callable[[], Mapping[str, Drift]]) -> None:
        """Read it by `read`."""
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the figures; see `prometheus_client.registry.Collector`."""
        searches = CounterMetricFamily(
            "biometrics_canary_probes",
            "Searches for nobody, since the start.",
            labels=("space",),
        )
        matches = CounterMetricFamily(
            "biometrics_canary_probes_matched",
            "Searches for nobody that matched somebody, since the start.",
            labels=("space",),
        )
        drifted = GaugeMetricFamily(
            "biometrics_calibration_drifted",
            "1 if they match more often than the calibration of the space promises.",
            labels=("space",),
        )
        for space, drift in self._read().items():
            searches.add_metric((space,), drift.searches)
            matches.add_metric((space,), drift.matches)
            drifted.add_metric((space,), drift.is_found)
        yield from (searches, matches, drifted)


def coarse(templates: int) -> int:
    """Return a number rounded up to a power of four, which hides single enrolments."""
    if templates <= limits.COARSE_GALLERY:
        return min(templates, 1) * limits.COARSE_GALLERY
    return int(4 ** math.ceil(math.log(templates, 4)))


def step(seconds: float, steps: Sequence[float]) -> float:
    """Return a time rounded up to its step: else the sum of one call more tells it."""
    return steps[min(bisect_left(steps, seconds), len(steps) - 1)]


def _or_unknown(read: Callable[[], float]) -> float:
    """Return a figure, or none while nobody can tell: the others are told all the same.

    So it is while the database is away, which is when figures are looked at.
    """
    try:
        return read()
    except ExchangeError:
        return math.nan


def _or_never(seconds: float | None) -> float:
    """Return a time, or one without end."""
    return _NEVER if seconds is None else seconds
