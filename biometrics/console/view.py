"""What one page shows: what the exchange told the owner of one certificate.

Every part is asked for only if the caller's role may call for it, which the exchange
itself says. A part that it refuses or cannot tell now is a fault on the page, and the
others are shown all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from biometrics.errors import ExchangeError, UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from biometrics.client import (
        AlertInfo,
        CallerInfo,
        CheckpointInfo,
        CustodyInfo,
        GalleryInfo,
        HolderInfo,
        LoadInfo,
        PermissionInfo,
        RegionInfo,
        ReviewInfo,
    )
    from biometrics.client.hatch import Reader

T = TypeVar("T")
_V1: Final = "/biometrics.v1."


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """One part of the page: what was told, or why nothing was."""

    told: T | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything that one caller is told; None for what its role is not."""

    caller: CallerInfo
    region: Part[RegionInfo] | None
    custody: Part[CustodyInfo] | None
    galleries: Part[tuple[GalleryInfo, ...]] | None
    holders: Part[tuple[HolderInfo, ...]] | None
    permissions: Part[tuple[PermissionInfo, ...]] | None
    load: Part[LoadInfo] | None
    checkpoint: Part[CheckpointInfo] | None
    reviews: Part[tuple[ReviewInfo, ...]] | None
    alerts: Part[tuple[AlertInfo, ...]] | None


async def look(reader: Reader) -> View:
    """Ask for everything that the caller may know.

    Raises:
        ExchangeError: the exchange does not take the certificate, or is not there.
    """
    caller = await reader.caller()

    async def ask(method: str, call: Callable[[], Awaitable[T]]) -> Part[T] | None:
        if f"{_V1}{method}" not in caller.methods:
            return None
        try:
            return Part(told=await call())
        except UnauthenticatedError:
            raise  # it was revoked meanwhile: no page
        except ExchangeError as error:
            return Part(fault=error.message)

    # One after the other: a page is never more than one call of its member's.
    return View(
        caller=caller,
        region=await ask("RegionService/DescribeRegion", reader.region),
        custody=await ask("CustodyService/GetCustody", reader.custody),
        galleries=await ask("EnrolmentService/ListGalleries", reader.galleries),
        holders=await ask("RegionService/ListHolders", reader.holders),
        permissions=await ask("AgreementService/ListPermissions", reader.permissions),
        load=await ask("RegionService/GetLoad", reader.load),
        checkpoint=await ask("AuditService/GetCheckpoint", reader.checkpoint),
        reviews=await ask("ReviewService/ListReviews", reader.reviews),
        alerts=await ask("ReviewService/ListAlerts", reader.alerts),
    )
