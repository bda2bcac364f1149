"""Opens the few candidates of a scan and decides exactly.

Candidates are opened one at a time, into arrays that are overwritten afterwards. The
comparison is float64, so that the decision does not depend on the engine's rounding.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from biometrics.disclosure import Protection
from biometrics.errors import GalleryLockedError, SealError
from matcher.follower import binding_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.store import JournalReader, StoredTemplate
    from biometrics.templates import Template, TemplateSpaces
    from matcher.galleries import Galleries

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A record with a template at or above the threshold. It carries no score."""

    holder: Member
    record_id: bytes
    protection: Protection


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What became of the candidates of one probe.

    Attributes:
        hits: each record that matches, once.
        failed: holders of which a candidate did not open; they have no outcome.
    """

    hits: tuple[Hit, ...]
    failed: frozenset[Member]


class Confirmation:
    """Exact comparison of a probe with sealed templates."""

    def __init__(
        self,
        *,
        journal: JournalReader,
        vault: Vault,
        spaces: TemplateSpaces,
        galleries: Galleries,
    ) -> None:
        """Read from `journal`, open with `vault`, tell `galleries` of damage."""
        self._journal = journal
        self._galleries = galleries
        self._vault = vault
        self._spaces = spaces

    def confirm(
        self, probe: Template, threshold: float, candidates: Sequence[int]
    ) -> Confirmed:
        """Return which records among `candidates` match the probe.

        A candidate that was withdrawn since the scan is no longer there and does
        not match.

        Args:
            probe: what to compare with.
            threshold: cosine from which a template matches.
            candidates: template ids, of the probe's space and position.
        """
        stored = self._journal.templates(candidates)
        wanted = probe.vector.astype(np.float64)
        clear = np.empty(probe.space.dimension, np.float32)
        exact = np.empty(probe.space.dimension, np.float64)
        hits: dict[bytes, Hit] = {}
        failed: set[Member] = set()
        for template in stored.values():
            try:
                binding = binding_of(template, self._spaces)
                self._vault.open_into(binding, template.sealed, clear)
            except (SealError, GalleryLockedError) as error:
                failed.add(template.member)
                # From now on for every probe: the outage must not tell whom it met.
                if isinstance(error, SealError) and self._galleries.damage(
                    template.member, template.space
                ):
                    log.error(  # noqa: TRY400 - the reason says it all
                        "gallery of %s in %s is UNAVAILABLE: template %d does not open",
                        template.member,
                        template.space,
                        template.template_id,
                    )
                continue
            np.copyto(exact, clear)
            if float(wanted @ exact) >= threshold:
                hits[template.record_id] = _hit(template)
        clear.fill(0.0)
        exact.fill(0.0)
        return Confirmed(hits=tuple(hits.values()), failed=frozenset(failed))


def _hit(template: StoredTemplate) -> Hit:
    """Return the hit of a template that reached the threshold."""
    return Hit(
        holder=template.member,
        record_id=template.record_id,
        protection=Protection(
            excluded=template.excluded, expires_at=template.expires_at
        ),
    )
