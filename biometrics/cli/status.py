"""`biometrics status`: how an exchange is doing, from the figures that it serves."""

import math
import re
import time
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from http.client import HTTPException
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from biometrics.cli.output import print_json
from biometrics.cli.session import ConfigOption, JsonOption
from biometrics.errors import ConfigurationError, UnavailableError

_SAMPLE: Final = re.compile(r"(?P<name>\w+)(\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_MATCH: Final = "/biometrics.v1.MatchService/"
# By no proxy that the environment names: figures are on this machine's own networks.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_READ_SECONDS: Final = 5.0
_MOST_BYTES: Final = 4 * 1024 * 1024
_DAY: Final = 86_400.0

Figures = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def status(
    config: ConfigOption,
    *,
    live: Annotated[
        bool, typer.Option("--live", help="Go on until Ctrl-C, each second.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Tell how a running exchange is doing; exit code 4 if it cannot be called.

    Reads the figures of `[metrics] listen`, and nothing else. They say how much is
    asked and how long it takes, and nothing of what was found.
    """
    # Late, with the server: clients need not wait for it.
    from biometrics.server.config import read_config  # noqa: PLC0415

    address = read_config(config, is_whole=False).metrics_listen
    if address is None:
        raise ConfigurationError(
            "NO_METRICS",
            f"`{config}` has no [metrics] listen, from which this is read; add it and"
            " start the exchange again",
        )
    figures = read_figures(address)
    if live:
        _watch(address, figures)
        return
    told = summary(figures)
    if as_json:
        print_json(told)
    else:
        Console().print(_table(told))
    if not told["serving"]:
        raise UnavailableError("NOT_SERVING", "the exchange cannot be called now")


def read_figures(address: str) -> Figures:
    """Return what is served at `address`, `host:port`.

    Raises:
        UnavailableError: nothing is.
    """
    url = f"http://{address}/metrics"
    try:
        with _DIRECT.open(url, timeout=_READ_SECONDS) as answer:
            text = answer.read(_MOST_BYTES).decode()
    except (OSError, HTTPException, ValueError) as error:
        raise UnavailableError(
            "SERVER_NOT_RUNNING",
            f"no figures at `{url}`: the exchange does not run, or was started without"
            " [metrics] listen",
        ) from error
    found = {}
    for line in text.splitlines():
        sample = None if line.startswith("#") else _SAMPLE.fullmatch(line)
        if sample is not None:
            labels = tuple(_LABEL.findall(sample["labels"] or ""))
            found[sample["name"], labels] = float(sample["value"])
    return found


def summary(
    now: Figures, before: Figures | None = None, seconds: float = 1.0
) -> dict[str, object]:
    """Return what is shown: rates between two readings, or counts of the only one."""
    earlier = before or {}

    def since(name: str, **labels: str) -> float:
        return sum(
            value - earlier.get((own, found), 0.0)
            for (own, found), value in now.items()
            if own == name
            and all(dict(found).get(key) == text for key, text in labels.items())
        )

    def alone(name: str) -> float:
        return now.get((f"biometrics_{name}", ()), 0.0)

    behind = alone("follower_behind_changes")

    calls = since("biometrics_calls_total")
    busy = sum(
        since("biometrics_calls_total", status=each)
        for each in ("EXCHANGE_BUSY", "TOO_MANY_CALLS")
    )
    took = since("biometrics_call_seconds_sum", method=f"{_MATCH}Match")
    searches = since("biometrics_call_seconds_count", method=f"{_MATCH}Match")
    return {
        "serving": alone("serving") == 1,
        "calls": calls / seconds if before else int(calls),
        "searches": searches / seconds if before else int(searches),
        "search_ms_at_most": 1e3 * took / searches if searches else None,
        "refused_as_busy": busy / seconds if before else int(busy),
        "searches_waiting": int(alone("searches_waiting")),
        "searches_at_once": alone("searches_at_once"),
        "behind_changes": None if math.isnan(behind) else int(behind),
        "slot_overruns": int(alone("slot_overruns")),
        **_lost(now),
        "certificate_days": _days(alone("certificate_seconds_left")),
        "revocations_days": _days(alone("revocations_seconds_left")),
    }


def _lost(now: Figures) -> dict[str, int | None]:
    """Return how many shards, and copies, are not searched; nothing without any.

    A shard is lost with the last copy of it.
    """
    copies: defaultdict[str, list[float]] = defaultdict(list)
    for (name, labels), value in now.items():
        if name == "biometrics_shard_searched":
            copies[dict(labels)["shard"]].append(value)
    if not copies:
        return {"shards_lost": None, "copies_lost": None}
    return {
        "shards_lost": sum(not any(each) for each in copies.values()),
        "copies_lost": sum(each.count(0) for each in copies.values()),
    }


def _days(seconds: float) -> float | None:
    """Return days, or nothing where there is no end."""
    return None if math.isinf(seconds) else seconds / _DAY


def _table(told: Mapping[str, object], unit: str = "since the start") -> Table:
    """Return a table of a summary."""
    table = Table(show_header=False, title=f"exchange, {unit}", title_justify="left")
    for name, value in told.items():
        shown = f"{value:,.1f}" if isinstance(value, float) else str(value)
        if isinstance(value, bool):
            shown = "[green]yes" if value else "[bold red]NO"
        table.add_row(name.replace("_", " "), "-" if value is None else shown)
    return table


def _watch(address: str, figures: Figures) -> None:
    """Show rates each second until Ctrl-C."""
    at = time.monotonic()
    with Live(_table(summary(figures)), auto_refresh=False) as view:
        while True:
            time.sleep(1)
            now, moment = read_figures(address), time.monotonic()
            told = summary(now, figures, moment - at)
            view.update(_table(told, "a second"), refresh=True)
            figures, at = now, moment
