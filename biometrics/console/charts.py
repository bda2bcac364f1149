"""The last hour as pictures: plain numbers in, shapes for an SVG out. Pure.

Drawn on the server, so that a browser needs no script for it. What they show stands
beside them as a table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from biometrics.client.results.region import LoadInfo, LoadMinuteInfo

WIDTH: Final = 420
HEIGHT: Final = 180
LEFT, RIGHT, TOP, BOTTOM = 58, 18, 12, 28
_GAP: Final = 1.0
_STEPS_MS: Final = (16, 32, 64, 128, 256, 512, 1000, 2000, 5000, 20_000, 300_000)
_NICE: Final = (1, 2, 5, 10)
_LEAST_STEPS: Final = 4
_MINUTES_BETWEEN_TICKS: Final = 15


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One minute: what was answered, and above it what was not."""

    x: float
    width: float
    answered_y: float
    answered_height: float
    unanswered_y: float
    unanswered_height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Either picture; `bars` of one, `half` and `most` of the other, as SVG paths."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    half: str = ""
    most: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """The hour in a few numbers, which the text beside the pictures says."""

    searches: int
    unanswered: int
    changes: int
    busiest: int
    slowest_ms: int


def totals(load: LoadInfo) -> Totals:
    """Return the hour in a few numbers."""
    minutes = load.minutes
    return Totals(
        searches=sum(each.searches for each in minutes),
        unanswered=sum(each.unanswered for each in minutes),
        changes=sum(each.changes for each in minutes),
        busiest=max((each.searches + each.unanswered for each in minutes), default=0),
        slowest_ms=max((each.most_within_ms for each in minutes), default=0),
    )


def searches(load: LoadInfo) -> Chart:
    """Return how many searches there were in each minute."""
    top = _nice(max((m.searches + m.unanswered for m in load.minutes), default=0))
    step = _room(WIDTH - LEFT - RIGHT, len(load.minutes))

    def height(count: int) -> float:
        return round((HEIGHT - TOP - BOTTOM) * count / top, 1)

    floor = HEIGHT - BOTTOM
    bars = tuple(
        Bar(
            x=round(LEFT + index * step, 1),
            width=round(step - _GAP, 1),
            answered_y=round(floor - height(each.searches), 1),
            answered_height=height(each.searches),
            unanswered_y=round(
                floor - height(each.searches) - height(each.unanswered), 1
            ),
            unanswered_height=height(each.unanswered),
        )
        for index, each in enumerate(load.minutes)
        if each.searches or each.unanswered
    )
    shown = sorted({0, top // 2, top}) if top > 1 else (0, 1)
    y_ticks = tuple(Tick(floor - height(n), f"{n:,}") for n in shown)
    return Chart(_times(load.minutes, step), y_ticks, bars=bars)


def latency(load: LoadInfo) -> Chart:
    """Return within which step half, and nearly all, searches were answered."""
    step = _room(WIDTH - LEFT - RIGHT, len(load.minutes))
    most = max((m.most_within_ms for m in load.minutes), default=0)
    used = sum(1 for ms in _STEPS_MS if ms <= most)
    steps = _STEPS_MS[: max(_LEAST_STEPS, used)]
    rise = (HEIGHT - TOP - BOTTOM) / len(steps)

    def level(milliseconds: int) -> float:
        above = sum(1 for ms in steps if ms <= milliseconds)
        return round(HEIGHT - BOTTOM - rise * above, 1)

    return Chart(
        _times(load.minutes, step),
        tuple(Tick(level(ms), _duration(ms)) for ms in steps),
        half=_path(load.minutes, step, lambda m: m.half_within_ms, level),
        most=_path(load.minutes, step, lambda m: m.most_within_ms, level),
    )


def _path(
    minutes: Sequence[LoadMinuteInfo],
    step: float,
    read: Callable[[LoadMinuteInfo], int],
    level: Callable[[int], float],
) -> str:
    """Return a line of one step a minute, broken where there was no search."""
    drawn: list[str] = []
    is_down = False
    for index, each in enumerate(minutes):
        if not read(each):
            is_down = False
            continue
        left, y = round(LEFT + index * step, 1), level(read(each))
        drawn.append(f"{'L' if is_down else 'M'}{left} {y}H{round(left + step, 1)}")
        is_down = True
    return "".join(drawn)


def _times(minutes: Sequence[LoadMinuteInfo], step: float) -> tuple[Tick, ...]:
    """Return the marks of the axis of time: quarters of an hour, in UTC."""
    return tuple(
        Tick(round(LEFT + index * step, 1), f"{each.begin:%H:%M}")
        for index, each in enumerate(minutes)
        if each.begin.minute % _MINUTES_BETWEEN_TICKS == 0
    )


def _room(width: int, count: int) -> float:
    """Return how wide one of so many is."""
    return width / max(1, count)


def _nice(most: int) -> int:
    """Return the next 1, 2 or 5 times a power of ten."""
    scale = 1
    while True:
        for each in _NICE:
            if scale * each >= most:
                return max(1, scale * each)
        scale *= 10


def _duration(milliseconds: int) -> str:
    """Return a time in its shortest writing."""
    if milliseconds < 1000:  # noqa: PLR2004 - in a second
        return f"{milliseconds} ms"
    return f"{milliseconds // 1000} s"
