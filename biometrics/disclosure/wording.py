"""Differences between versions in the words of those who sign."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.disclosure.clauses import Level, Purpose
from biometrics.templates import Modality

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from biometrics.calibration import Promise
    from biometrics.disclosure.compare import Difference, GroupDifference
    from biometrics.disclosure.prohibitions import ProhibitionDifference
    from biometrics.members import Member


def in_words(
    found: Iterable[Difference], groups: Iterable[GroupDifference]
) -> Iterator[str]:
    """Yield, line by line, who would learn more and who less."""
    by_pair: dict[tuple[Member, Member, bool], list[Difference]] = defaultdict(list)
    for each in found:
        by_pair[each.requester, each.holder, each.tells_more].append(each)
    for (requester, holder, tells_more), rows in by_pair.items():
        yield f"{requester} would learn {_MORE[tells_more]} from {holder}"
        yield from _searches_in_words(rows)
    for group in groups:
        yield (
            f"{group.requester} would learn {_MORE[group.tells_more]} from holders"
            " without a name"
        )
        yield (
            f"  {group.purpose} with {group.modality}: {group.before} -> {group.after}"
            f" holders at `presence`, which are answered together from"
            f" {limits.MIN_PRESENCE_HOLDERS} on; {_span(group.first, group.last)}"
        )


def prohibitions_in_words(found: Iterable[ProhibitionDifference]) -> Iterator[str]:
    """Yield, line by line, what would be forbidden no longer, and what newly."""
    by_pair: dict[tuple[Member, Member | None, bool], list[ProhibitionDifference]]
    by_pair = defaultdict(list)
    for each in found:
        by_pair[each.holder, each.requester, each.comes].append(each)
    for (holder, requester, comes), rows in by_pair.items():
        told = "would newly forbid" if comes else "would NO LONGER FORBID"
        yield f"{holder} {told} {requester or 'everybody'}, whatever is permitted"
        alike: dict[str, dict[Modality, list[Purpose]]] = {}
        for row in rows:
            by_modality = alike.setdefault(_span(row.first, row.last), {})
            by_modality.setdefault(row.modality, []).append(row.purpose)
        for span, by_modality in alike.items():
            for searches in _together(by_modality):
                yield f"  {searches}; {span}"


_MORE: Final = {True: "MORE", False: "LESS"}


def _searches_in_words(rows: Sequence[Difference]) -> Iterator[str]:
    """Yield a line for all searches of a pair whose difference is the same."""
    alike: dict[tuple[str, ...], dict[Modality, list[Purpose]]] = {}
    for row in rows:
        change = (
            _told(row.before, row.promise_before, row.promise_after)
            + _quota(row.quota_before, row.quota_after),
            _told(row.after, row.promise_after, row.promise_before)
            + _quota(row.quota_after, row.quota_before),
            _span(row.first, row.last),
        )
        by_modality = alike.setdefault(change, {})
        by_modality.setdefault(row.modality, []).append(row.purpose)
    for (before, after, span), by_modality in alike.items():
        for searches in _together(by_modality):
            yield f"  {searches}: {before} -> {after}; {span}"


def _together(by_modality: Mapping[Modality, Sequence[Purpose]]) -> Iterator[str]:
    """Yield searches in words, those with the same purposes as one."""
    by_purposes: dict[tuple[Purpose, ...], list[Modality]] = {}
    for modality, purposes in by_modality.items():
        by_purposes.setdefault(tuple(purposes), []).append(modality)
    for alike, modalities in by_purposes.items():
        whys = "any purpose" if len(alike) == len(Purpose) else ", ".join(alike)
        whats = (
            "any modality"
            if len(modalities) == len(Modality)
            else ", ".join(modalities)
        )
        yield f"{whys} with {whats}"


def _told(told: Level | None, promise: Promise | None, other: Promise | None) -> str:
    """Return a level in words, with its promise where the other version has another."""
    if promise is None or promise == other:
        return _LEVELS[told]
    return f"{_LEVELS[told]}, {promise}"


def _quota(quota: int | None, other: int | None) -> str:
    """Return a quota in words, where the other version has another."""
    return "" if quota in {None, other} else f", {quota:,} searches a day"


_LEVELS: Final = {
    None: "nothing",
    Level.PRESENCE: "`presence` (one answer for the region)",
    Level.HOLDER: "`holder` (match or no match)",
    Level.REFERENCE: "`reference` (and a reference for a follow-up)",
}


def _span(first: dt.date, last: dt.date | None) -> str:
    """Return days in words."""
    return f"from {first} on" if last is None else f"from {first} to {last}"
