"""Opens the few candidates of a scan and decides exactly.

Candidates are opened one at a time, into arrays that are overwritten afterwards. They
are compared exactly, in float64, as `kinds` says: no decision depends on the engine's
rounding.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from biometrics.disclosure import Protection
from biometrics.store import SeenRecord
from matcher.kinds import searched
from matcher.opening import Opener

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from numpy.typing import NDArray

    from biometrics.custody import Vault
    from biometrics.disclosure import Band
    from biometrics.members import Member
    from biometrics.store import JournalReader, StoredTemplate
    from biometrics.templates import Template, TemplateSpaces
    from matcher.follower import Follower
    from matcher.galleries import Galleries, Shelf


Candidates = Mapping["Shelf", Sequence[int]]
# What a record's best score is before any of its templates was compared.
_NOTHING: Final = (-math.inf,)
Gone = Mapping["Shelf", "NDArray[np.int64]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A record with a template at or above the threshold. It carries no score.

    Attributes:
        holder: whose it is.
        record_id: 16 bytes.
        protection: what protects it.
        seen: by which the store can tell whether that still stands.
        is_near: whether it is near the threshold; see `disclosure.budget`.
        lookup: 32 bytes, under which the record is found for a follow-up.
    """

    holder: Member
    record_id: bytes
    lookup: bytes = field(repr=False)
    protection: Protection
    seen: SeenRecord
    is_near: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What became of the candidates of one probe.

    Attributes:
        hits: each record that matches, once.
        misses: each record that does not and is near, once; as it would be a hit.
        failed: holders of which a candidate did not open, or is gone without having
            been withdrawn, or of which there is too much to compare; they have no
            outcome.
        moved: whether a candidate was withdrawn, or replaced, since the scan. One that
            was replaced is under another number now, and found by scanning again.
    """

    hits: tuple[Hit, ...]
    failed: frozenset[Member]
    moved: bool = False
    misses: tuple[Hit, ...] = ()


class Holds(Protocol):
    """What was searched."""

    def holds(self, shelf: Shelf, ids: NDArray[np.int64], /) -> NDArray[np.bool_]:
        """Return which of the ids a search of the shelf can find now."""


class Confirmation:
    """Exact comparison of a probe with sealed templates."""

    def __init__(
        self,
        *,
        journal: JournalReader,
        vault: Vault,
        spaces: TemplateSpaces,
        galleries: Galleries,
        engine: Holds,
        follower: Follower,
    ) -> None:
        """Read from `journal`, open with `vault`, tell `galleries` of damage.

        What `engine` finds and `journal` no longer has must have been withdrawn by
        the time `follower` has caught up.
        """
        self._journal = journal
        self._spaces = spaces
        self._opener = Opener(
            journal=journal, vault=vault, spaces=spaces, galleries=galleries
        )
        self._galleries = galleries
        self._engine = engine
        self._follower = follower

    def rows(self, found: Iterable[Candidates]) -> Mapping[int, StoredTemplate]:
        """Read the rows of all candidates of some probes at once, for `confirm`."""
        bounded = [self._bounded(candidates)[0] for candidates in found]
        return self._journal.templates(
            sorted({n for some in bounded for ids in some.values() for n in ids})
        )

    def confirm(
        self,
        probe: Template,
        bands: Mapping[Shelf, Band],
        found: Candidates,
        rows: Mapping[int, StoredTemplate],
    ) -> Confirmed:
        """Return which records among the candidates match the probe.

        A record's score is the greatest of its templates': it matches if any does. A
        candidate that was withdrawn or replaced since the scan is no longer there and
        does not match. A holder with too many candidates has no outcome.

        Args:
            probe: what to compare with.
            bands: by shelf, from which score on a template matches, or is near.
            found: template ids by shelf, each of the probe's space and position.
            rows: theirs, and maybe others, as `rows` read them after the scan.
        """
        candidates, flooded = self._bounded(found)
        gone = _gone(candidates, rows)
        lost = self._lost(gone)
        failed = lost | flooded
        moved = any(shelf.holder not in lost for shelf in gone)
        (clear,) = probe.space.room(1)
        kind = searched(probe.space)
        comparison = kind.comparison(probe.values)
        best: dict[bytes, tuple[float, Shelf, StoredTemplate]] = {}
        left = dict.fromkeys((s.holder for s in candidates), kind.most_cost)
        try:
            for shelf, template in _pairs(candidates, rows):
                if left[shelf.holder] < 0:
                    continue
                if not self._opener.can_open(shelf, template, clear):
                    failed.add(shelf.holder)
                    continue
                left[shelf.holder] -= comparison.cost(clear)
                score = comparison.score(clear, bands[shelf].low)
                if score > best.get(template.record_id, _NOTHING)[0]:
                    best[template.record_id] = score, shelf, template
        finally:
            clear.fill(0)
            comparison.forget()
        failed |= {holder for holder, cost in left.items() if cost < 0}
        hits, misses = _told_apart(best.values(), bands)
        return Confirmed(
            hits=hits, failed=frozenset(failed), moved=moved, misses=misses
        )

    def _bounded(self, found: Candidates) -> tuple[Candidates, frozenset[Member]]:
        """Return candidates without those of holders with too many, and these."""
        count: Counter[Member] = Counter()
        most: dict[Member, int] = {}
        for shelf, ids in found.items():  # of one space, at one position or several
            count[shelf.holder] += len(ids)
            most[shelf.holder] = searched(self._spaces.named(shelf.space)).most_opened
        flooded = frozenset(h for h, opened in count.items() if opened > most[h])
        left = {s: ids for s, ids in found.items() if s.holder not in flooded}
        return left, flooded

    def _lost(self, gone: Gone) -> set[Member]:
        """Return the holders of candidates that are gone without a withdrawal.

        Once it returns, the engine has what was put in the place of the others.
        """
        if gone and not self._follower.catch_up():
            return {shelf.holder for shelf in gone}
        lost = {
            shelf for shelf, ids in gone.items() if self._engine.holds(shelf, ids).any()
        }
        for shelf in lost:
            self._galleries.damage(
                shelf.holder,
                shelf.space,
                "a template's row is missing, or is none any more",
            )
        return {shelf.holder for shelf in lost}


def _gone(candidates: Candidates, stored: Collection[int]) -> Gone:
    """Return the candidates that are no longer stored, by shelf."""
    gone = {
        shelf: np.array([n for n in ids if n not in stored], np.int64)
        for shelf, ids in candidates.items()
    }
    return {shelf: ids for shelf, ids in gone.items() if len(ids)}


def _pairs(
    candidates: Candidates, stored: Mapping[int, StoredTemplate]
) -> Iterator[tuple[Shelf, StoredTemplate]]:
    """Yield the candidates that are there, each with where it was scanned."""
    for shelf, ids in candidates.items():
        for number in ids:
            if number in stored:
                yield shelf, stored[number]


def _told_apart(
    best: Iterable[tuple[float, Shelf, StoredTemplate]], bands: Mapping[Shelf, Band]
) -> tuple[tuple[Hit, ...], tuple[Hit, ...]]:
    """Return the records that match, and those that do not and are near."""
    hits, misses = [], []
    for score, shelf, template in best:
        band = bands[shelf]
        if score >= band.threshold:
            hits.append(hit_of(template, is_near=band.is_near(score)))
        elif band.is_near(score):
            misses.append(hit_of(template, is_near=True))
    return tuple(hits), tuple(misses)


def hit_of(template: StoredTemplate, *, is_near: bool) -> Hit:
    """Return the record of a template that was compared."""
    return Hit(
        holder=template.member,
        record_id=template.record_id,
        lookup=template.lookup,
        protection=protection_of(template),
        seen=SeenRecord(
            template_id=template.template_id,
            record_tag=template.record_tag,
            expires_at=template.expires_at,
        ),
        is_near=is_near,
    )


def protection_of(template: StoredTemplate) -> Protection:
    """Return what protects the record of a template."""
    return Protection(
        excluded=template.excluded,
        expires_at=template.expires_at,
        is_canary=template.is_canary,
    )
