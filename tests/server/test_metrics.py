"""Figures that cannot be read leave the others standing."""

from __future__ import annotations

import math
import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from biometrics.calibration import Drift
from biometrics.cli.status import read_figures, summary
from biometrics.clock import SystemClock
from biometrics.demo.process import free_port
from biometrics.errors import UnavailableError
from biometrics.members import Member
from biometrics.server.hour import Hour
from biometrics.server.metrics import Gauges, Metrics
from biometrics.stages import Stage
from matcher.shares import Standing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

XAA, XBB = Member("XAA"), Member("XBB")


class Away:
    """A database that may be away, and counts how often it is asked."""

    def __init__(self) -> None:
        """Be there."""
        self.is_away = False
        self.asked: Counter[str] = Counter()

    def behind(self) -> int:
        """Return how far something is behind."""
        self._ask("behind")
        return 3

    def sizes(self) -> Mapping[Member, int]:
        """Return sizes of galleries."""
        self._ask("sizes")
        return {XAA: 5, XBB: 300}

    def _ask(self, what: str) -> None:
        self.asked[what] += 1
        if self.is_away:
            raise UnavailableError("STORAGE_IO", "the database is away")


DRIFTED = Drift(1e-2, searches=90, matches=12, is_found=True)


@pytest.fixture
def served() -> Iterator[tuple[Away, str]]:
    """Serve the figures of a database; return it, and where."""
    away, address = Away(), f"127.0.0.1:{free_port()}"
    metrics = Metrics(Hour(SystemClock()))
    metrics.watch(
        Gauges(
            serving=lambda: True,
            waiting=int,
            at_once=float,
            overruns=int,
            behind=away.behind,
            galleries=away.sizes,
            calibrations=lambda: {"face": (5000, 4096)},
            canaries=lambda: {"face": DRIFTED},
            certificate_seconds=lambda: 60.0,
            revocation_seconds=lambda: None,
            shards=lambda: [
                Standing(number=0, copy=0, is_ready=True, templates=5),
                Standing(number=0, copy=1, is_ready=False, templates=5),
                Standing(number=1, copy=0, is_ready=False, templates=0),
            ],
        )
    )
    away.asked.clear()
    stop = metrics.serve(address)
    yield away, address
    stop()


def test_the_database_is_asked_once_for_all_members(served: tuple[Away, str]):
    """However many there are."""
    away, address = served
    figures = read_figures(address)
    assert away.asked == {"behind": 1, "sizes": 1}
    name = "biometrics_gallery_templates_at_most"
    assert figures[name, (("member", "XAA"),)] == 256
    assert figures[name, (("member", "XBB"),)] == 1024


def test_searches_for_nobody_are_told_by_space(served: tuple[Away, str]):
    """How many, how many matched, and whether that is too often."""
    figures = read_figures(served[1])
    of_face = (("space", "face"),)
    assert figures["biometrics_canary_probes_total", of_face] == 90
    assert figures["biometrics_canary_probes_matched_total", of_face] == 12
    assert figures["biometrics_calibration_drifted", of_face] == 1


def test_no_time_is_told_finer_than_its_step():
    """Sums neither: read after each call, they would tell that call's time."""
    sums = set()
    for seconds in (0.0601, 0.0555, 0.033):
        metrics = Metrics(Hour(SystemClock()))
        metrics.ended("/m", None, "OK", seconds)
        metrics.waited(seconds)
        for stage in Stage:
            metrics.took(stage, seconds)
        families = metrics._registry.collect()
        samples = [sample for family in families for sample in family.samples]
        sums |= {each.value for each in samples if each.name.endswith("seconds_sum")}
    assert sums == {0.064}


def test_how_much_is_scanned_and_calibrated_tells_no_single_record(
    served: tuple[Away, str],
):
    """Both go by powers of four."""
    metrics = Metrics(Hour(SystemClock()))
    for templates in (257, 900):
        metrics.scanned(templates)
    assert metrics._scanned._value.get() == 2 * 1024
    used = read_figures(served[1])[
        "biometrics_calibration_used_at_most", (("space", "face"),)
    ]
    assert used == 16384 / 4096


def test_figures_are_not_asked_of_a_proxy(
    served: tuple[Away, str], monkeypatch: pytest.MonkeyPatch
):
    """A container's environment often names one, which cannot reach loopback."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr("urllib.request._opener", None)  # which keeps an earlier one's
    assert read_figures(served[1])["biometrics_serving", ()] == 1


def test_what_is_no_exchange_is_told_as_that():
    """Something else may listen where the settings say."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-x\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnavailableError) as caught:
            read_figures(address)
        thread.join()
    assert caught.value.reason == "SERVER_NOT_RUNNING"


def test_a_database_that_is_away_takes_its_own_figures_along_and_no_other(
    served: tuple[Away, str],
):
    """Operators look at figures just then."""
    away, address = served
    away.is_away = True
    figures = read_figures(address)
    assert figures["biometrics_serving", ()] == 1
    assert figures["biometrics_certificate_seconds_left", ()] == 60
    assert math.isnan(figures["biometrics_follower_behind_changes", ()])
    assert not any("gallery" in name for name, _ in figures)
    told = summary(figures)
    assert (told["serving"], told["behind_changes"]) == (True, None)


def test_a_shard_is_lost_with_its_last_copy(served: tuple[Away, str]):
    """While one is left nobody is UNAVAILABLE; each has a figure of its own."""
    figures = read_figures(served[1])
    first, second = (
        figures["biometrics_shard_searched", (("copy", copy), ("shard", "0"))]
        for copy in "01"
    )
    assert (first, second) == (1, 0)
    told = summary(figures)
    assert (told["shards_lost"], told["copies_lost"]) == (1, 2)
