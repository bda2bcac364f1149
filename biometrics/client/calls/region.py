"""Calls about who one is, who else takes part, and what is agreed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.client.calls.calls import Calls, pages
from biometrics.client.messages import explain_request
from biometrics.client.responses.region import (
    read_agreements,
    read_caller,
    read_explanation,
    read_holders,
    read_load,
    read_own_version,
    read_permissions,
    read_region,
)
from biometrics.v1 import agreement_pb2, region_pb2

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from biometrics.client.results.region import (
        AgreementInfo,
        CallerInfo,
        Explanation,
        HolderInfo,
        LoadInfo,
        PermissionInfo,
        RegionInfo,
        VersionInfo,
    )


class RegionCalls(Calls):
    """Tell who takes part, and who may ask whom what."""

    async def caller(self, *, deadline: float | None = None) -> CallerInfo:
        """Tell who one is to the exchange, and what one may call."""
        request = region_pb2.DescribeCallerRequest()
        return read_caller(
            await self._asker.call(self._on.region.DescribeCaller, request, deadline)
        )

    async def holders(self, *, deadline: float | None = None) -> tuple[HolderInfo, ...]:
        """List the holders that one's member may search, and whether they can be."""
        request = region_pb2.ListHoldersRequest()
        return read_holders(
            await self._asker.call(self._on.region.ListHolders, request, deadline)
        )

    async def load(self, *, deadline: float | None = None) -> LoadInfo:
        """Tell how many calls of one's member were answered in the last hour."""
        request = region_pb2.GetLoadRequest()
        return read_load(
            await self._asker.call(self._on.region.GetLoad, request, deadline)
        )

    async def region(self, *, deadline: float | None = None) -> RegionInfo:
        """List all members and what is agreed, as the coordinator of the region."""
        request = region_pb2.DescribeRegionRequest()
        return read_region(
            await self._asker.call(self._on.region.DescribeRegion, request, deadline)
        )

    async def permissions(
        self, *, deadline: float | None = None
    ) -> tuple[PermissionInfo, ...]:
        """List what others may learn of one's own records today."""
        request = agreement_pb2.ListPermissionsRequest()
        return read_permissions(
            await self._asker.call(
                self._on.agreements.ListPermissions, request, deadline
            )
        )

    async def agreements(
        self, *, deadline: float | None = None
    ) -> tuple[AgreementInfo, ...]:
        """List the clauses in which one is a party; `deadline` is a page's."""

        def page(
            token: str,
        ) -> Coroutine[Any, Any, agreement_pb2.ListAgreementsResponse]:
            request = agreement_pb2.ListAgreementsRequest(
                page_size=limits.MAX_PAGE_RECORDS, page_token=token
            )
            method = self._on.agreements.ListAgreements
            return self._asker.call(method, request, deadline)

        clauses = pages(page, read_agreements)
        return tuple([clause async for clause in clauses])

    async def own_version(self, *, deadline: float | None = None) -> VersionInfo | None:
        """Tell which version of one's own agreement is in force, if any is."""
        request = agreement_pb2.ListAgreementsRequest(page_size=1)
        told = await self._asker.call(
            self._on.agreements.ListAgreements, request, deadline
        )
        return read_own_version(told)

    async def explain(
        self,
        *,
        holder: str,
        requester: str,
        purpose: str,
        modality: str,
        deadline: float | None = None,
    ) -> Explanation:
        """Say whether a search would be permitted today, and which line decides."""
        request = explain_request(holder, requester, purpose, modality)
        return read_explanation(
            await self._asker.call(
                self._on.agreements.ExplainAgreement, request, deadline
            )
        )
