"""What the console asks an exchange for others, over a socket on the same machine.

    async with Hatch("unix:console/socket") as hatch:
        reader = hatch.reader(certificate)
        caller = await reader.caller()

Whatever is asked is asked as the owner of a certificate, which the exchange judges as
if it had come to it by TLS. There is no method here that changes anything.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

import grpc
import grpc.aio

from biometrics import limits
from biometrics.client.channel import Peers
from biometrics.client.responses.custody import read_custody
from biometrics.client.responses.enrolling import read_galleries
from biometrics.client.responses.log import read_checkpoint
from biometrics.client.responses.region import (
    read_caller,
    read_holders,
    read_load,
    read_permissions,
    read_region,
)
from biometrics.client.responses.reviewing import read_alerts, read_reviews
from biometrics.client.status import translate
from biometrics.errors import UnavailableError
from biometrics.v1 import (
    agreement_pb2,
    agreement_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    custody_pb2,
    custody_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    region_pb2,
    region_pb2_grpc,
    review_pb2,
    review_pb2_grpc,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from biometrics.client.results.custody import CustodyInfo
    from biometrics.client.results.enrolling import GalleryInfo
    from biometrics.client.results.log import CheckpointInfo
    from biometrics.client.results.region import (
        CallerInfo,
        HolderInfo,
        LoadInfo,
        PermissionInfo,
        RegionInfo,
    )
    from biometrics.client.results.reviewing import AlertInfo, ReviewInfo

RequestT = TypeVar("RequestT", bound="Message")
ResponseT = TypeVar("ResponseT")

# What gRPC tells where nobody is at the other end of the socket.
_AWAY: Final = frozenset(
    {
        "NOT_REACHED",
        "SERVER_NOT_RUNNING",
        "CERTIFICATE_REFUSED",
        "TARGET_NOT_FOUND",
        "CANCELLED",
    }
)


class Hatch:
    """The exchange's socket for its console; an asynchronous context manager."""

    def __init__(self, target: str) -> None:
        """Prepare a channel to gRPC's `target`; it connects when it is used."""
        self._peers = Peers(
            target=target,
            authority=Path(),
            certificate=Path(),
            member="",
            valid_until=dt.datetime.max.replace(tzinfo=dt.UTC),
            is_of_authority=True,
        )
        self._channel = grpc.aio.secure_channel(
            self._peers.target,
            grpc.local_channel_credentials(grpc.LocalConnectionType.UDS),
            (
                (
                    "grpc.max_reconnect_backoff_ms",
                    round(1000 * limits.CLIENT_RECONNECT_SECONDS),
                ),
            ),
        )

    async def __aenter__(self) -> Self:
        """Return it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the channel."""
        await self._channel.close()

    def reader(self, certificate: bytes) -> Reader:
        """Return what asks as the owner of a certificate.

        Args:
            certificate: DER, of which TLS 1.3 has proved that it is the asker's.
        """
        return Reader(self._channel, self._peers, certificate)


@dataclass(frozen=True, slots=True)
class Reader:
    """Asks as the owner of a certificate.

    Every method may raise any `ExchangeError` but a `ConfigurationError`.
    """

    channel: grpc.aio.Channel
    peers: Peers
    certificate: bytes

    async def caller(self) -> CallerInfo:
        """Tell who that is to the exchange."""
        stub = region_pb2_grpc.RegionServiceStub(self.channel)
        request = region_pb2.DescribeCallerRequest()
        return read_caller(await self._ask(stub.DescribeCaller, request))

    async def holders(self) -> tuple[HolderInfo, ...]:
        """List the holders that its member may search."""
        stub = region_pb2_grpc.RegionServiceStub(self.channel)
        request = region_pb2.ListHoldersRequest()
        return read_holders(await self._ask(stub.ListHolders, request))

    async def load(self) -> LoadInfo:
        """Tell of the last hour."""
        stub = region_pb2_grpc.RegionServiceStub(self.channel)
        request = region_pb2.GetLoadRequest()
        return read_load(await self._ask(stub.GetLoad, request))

    async def region(self) -> RegionInfo:
        """List all members and what is agreed."""
        stub = region_pb2_grpc.RegionServiceStub(self.channel)
        request = region_pb2.DescribeRegionRequest()
        return read_region(await self._ask(stub.DescribeRegion, request))

    async def galleries(self) -> tuple[GalleryInfo, ...]:
        """List its member's galleries."""
        stub = enrolment_pb2_grpc.EnrolmentServiceStub(self.channel)
        request = enrolment_pb2.ListGalleriesRequest()
        return read_galleries(await self._ask(stub.ListGalleries, request))

    async def custody(self) -> CustodyInfo:
        """Tell whether its member's galleries are open."""
        stub = custody_pb2_grpc.CustodyServiceStub(self.channel)
        request = custody_pb2.GetCustodyRequest()
        return read_custody(await self._ask(stub.GetCustody, request))

    async def permissions(self) -> tuple[PermissionInfo, ...]:
        """List what others may learn of its member's records today."""
        stub = agreement_pb2_grpc.AgreementServiceStub(self.channel)
        request = agreement_pb2.ListPermissionsRequest()
        return read_permissions(await self._ask(stub.ListPermissions, request))

    async def reviews(self) -> tuple[ReviewInfo, ...]:
        """List the freezes that its member is a side of."""
        stub = review_pb2_grpc.ReviewServiceStub(self.channel)
        request = review_pb2.ListReviewsRequest()
        return read_reviews(await self._ask(stub.ListReviews, request))

    async def alerts(self) -> tuple[AlertInfo, ...]:
        """List what gave its member cause for alerts."""
        stub = review_pb2_grpc.ReviewServiceStub(self.channel)
        request = review_pb2.ListAlertsRequest()
        return read_alerts(await self._ask(stub.ListAlerts, request))

    async def checkpoint(self) -> CheckpointInfo:
        """Return the newest checkpoint of the log."""
        stub = audit_pb2_grpc.AuditServiceStub(self.channel)
        request = audit_pb2.GetCheckpointRequest()
        return read_checkpoint(await self._ask(stub.GetCheckpoint, request))

    async def log_tile(self, level: int, number: int, width: int) -> bytes:
        """Return the first `width` hashes of a tile of the log."""
        stub = audit_pb2_grpc.AuditServiceStub(self.channel)
        request = audit_pb2.GetTileRequest(level=level, number=number, width=width)
        return bytes((await self._ask(stub.GetTile, request)).hashes)

    async def _ask(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
    ) -> ResponseT:
        """Ask, in time."""
        try:
            return await method(
                request,
                timeout=limits.CONSOLE_DEADLINE_SECONDS,
                metadata=((limits.SHOWN_CERTIFICATE, self.certificate),),
            )
        except grpc.RpcError as error:
            told = translate(error, self.peers)
            if isinstance(told, UnavailableError) and told.reason in _AWAY:
                told = UnavailableError(
                    "EXCHANGE_AWAY",
                    "the exchange does not answer the console: it does not run, or its"
                    " settings and the console's name different sockets",
                )
            raise told from error
