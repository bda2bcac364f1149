"""Compares all templates of a probe with all of the records that one of them found.

Each template of the probe was scanned with alone, from where on a record can match at
all. What stands out there is opened as a whole, and decided by the rule of its holder.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics import limits
from matcher.confirm import Confirmed, Hit, hit_of
from matcher.fusion import is_near
from matcher.galleries import Shelf
from matcher.kinds import searched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from biometrics.members import Member
    from biometrics.store import JournalReader, StoredTemplate
    from biometrics.templates import Template
    from matcher.fusion import Rule
    from matcher.kinds import Comparison
    from matcher.opening import Opener


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """Decides on records by several templates.

    Attributes:
        journal: what is stored.
        opener: opens it.
    """

    journal: JournalReader
    opener: Opener

    def weigh(
        self,
        probes: Sequence[Template],
        rules: Mapping[Member, Rule],
        found: Sequence[Confirmed],
    ) -> Confirmed:
        """Return which records match, of those that the templates found alone.

        A record that was replaced since is decided as it is now, and one that was
        withdrawn is no more.

        Args:
            probes: of one person, no two of one space and position.
            rules: by holder.
            found: what each of them found, from its band of the holder's rule on.
        """
        failed = {holder for each in found for holder in each.failed}
        lookups: dict[Member, set[bytes]] = defaultdict(set)
        for each in found:
            for hit in (*each.hits, *each.misses):
                lookups[hit.holder].add(hit.lookup)
        hits: list[Hit] = []
        misses: list[Hit] = []
        for holder in sorted(lookups.keys() - failed):
            templates = self._templates(holder, lookups[holder], probes)
            if templates is None:
                failed.add(holder)
                continue
            rule = rules[holder]
            for template, scores in templates:
                near = is_near(rule, scores)
                if rule.matches(scores):
                    hits.append(hit_of(template, is_near=near))
                elif near:
                    misses.append(hit_of(template, is_near=True))
        return Confirmed(
            hits=tuple(hits), failed=frozenset(failed), misses=tuple(misses)
        )

    def _templates(
        self, holder: Member, lookups: set[bytes], probes: Sequence[Template]
    ) -> list[tuple[StoredTemplate, dict[int, list[float]]]] | None:
        """Return one template of each record, and the scores of all of its templates.

        Returns:
            None where one does not open, or there are too many.
        """
        parts = {(p.space.name, p.position.value): n for n, p in enumerate(probes)}
        stored = [
            template
            for template in self.journal.templates_of(holder, sorted(lookups))
            if (template.space, template.position) in parts
        ]
        if len(stored) > limits.MAX_OPENINGS_PER_HOLDER:
            return None
        scored: dict[bytes, tuple[StoredTemplate, dict[int, list[float]]]] = {}
        # Made once for all: of a large print that takes as long as to compare it.
        comparisons = [searched(p.space).comparison(p.values) for p in probes]
        try:
            for template in stored:
                part = parts[template.space, template.position]
                score = self._score(template, probes[part], comparisons[part])
                if score is None:
                    return None
                _, scores = scored.setdefault(template.record_id, (template, {}))
                scores.setdefault(part, []).append(score)
        finally:
            for comparison in comparisons:
                comparison.forget()
        return list(scored.values())

    def _score(
        self, template: StoredTemplate, probe: Template, comparison: Comparison
    ) -> float | None:
        """Return the exact score of a template; None where it does not open."""
        shelf = Shelf(template.member, template.space, probe.position)
        (clear,) = probe.space.room(1)
        try:
            if not self.opener.can_open(shelf, template, clear):
                return None
            return comparison.score(clear, -math.inf)
        finally:
            clear.fill(0)
