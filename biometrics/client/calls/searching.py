"""Calls that ask whether anybody has a person, and what templates may be asked with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.client.calls.calls import Calls
from biometrics.client.responses.searching import read_answer, read_batch, read_spaces
from biometrics.v1 import space_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.client.inputs import Probe, Template
    from biometrics.client.messages import RequestId
    from biometrics.client.results.searching import MatchAnswer, ProbeRefusal, SpaceInfo


class SearchCalls(Calls):
    """Search, and list the template spaces."""

    async def match(
        self,
        probe: Template | Probe,
        *,
        purpose: str,
        holders: Sequence[str] = (),
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> MatchAnswer:
        """Search for one person.

        Args:
            probe: the person's template; a `Probe` says also who must not learn of it.
            purpose: word such as `border-check`.
            holders: member codes to search; by default all that the agreements
                permit.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.
        """
        request = self._requests.match(probe, purpose, holders, request_id)
        return read_answer(
            await self._asker.call(self._on.matching.Match, request, deadline)
        )

    async def match_many(
        self,
        probes: Sequence[Template | Probe],
        *,
        purpose: str,
        holders: Sequence[str] = (),
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> tuple[MatchAnswer | ProbeRefusal, ...]:
        """Search for 1 to `limits.MAX_PROBES_PER_BATCH` persons at once.

        Returns:
            One result a probe, in the order of `probes`.
        """
        request = self._requests.batch(probes, purpose, holders, request_id)
        return read_batch(
            await self._asker.call(self._on.matching.BatchMatch, request, deadline)
        )

    async def spaces(self, *, deadline: float | None = None) -> tuple[SpaceInfo, ...]:
        """List the template spaces of the exchange."""
        request = space_pb2.ListSpacesRequest()
        return read_spaces(
            await self._asker.call(self._on.spaces.ListSpaces, request, deadline)
        )
