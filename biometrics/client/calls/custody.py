"""Calls about one's own keys: close, open, rotate and destroy galleries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.client.calls.calls import Calls, pages
from biometrics.client.responses.custody import read_custody, read_erasures
from biometrics.client.responses.times import read_moment
from biometrics.v1 import custody_pb2

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import AsyncGenerator, Coroutine
    from typing import Any

    from biometrics.client.messages import RequestId
    from biometrics.client.results.custody import CustodyInfo, ErasureInfo


class CustodyCalls(Calls):
    """Close, open, rotate and destroy one's own galleries."""

    async def lock(
        self, *, request_id: RequestId = None, deadline: float | None = None
    ) -> dt.datetime:
        """Close one's own galleries, until they are unlocked; restarts included.

        When this returns, no search is answered from them, nothing can be enrolled into
        them, and the exchange holds nothing in memory that opens them.

        Returns:
            Since when they are closed; the same moment where that was done before.
        """
        request = self._requests.under(request_id, custody_pb2.LockRequest())
        response = await self._asker.call(self._on.custody.Lock, request, deadline)
        return read_moment(response.lock_time)

    async def unlock(
        self,
        *,
        key: bytes | None = None,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> dt.datetime:
        """Open one's own galleries; they are searchable when this returns.

        Args:
            key: one's key-encryption key, 32 bytes, where the exchange does not have
                it. It is sealed to the exchange that the profile's `verifier` tells.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Returns:
            Since when they are open.

        Raises:
            ConfigurationError: `key` is given, and the profile has no `verifier`.
            UnauthenticatedError: the exchange did not prove that it is the one.
            PreconditionError: one's key-encryption key is not at hand.
            UnavailableError: loading takes longer (`GALLERY_LOADING`); it goes on.
        """
        request = self._requests.under(request_id, custody_pb2.UnlockRequest())
        left = self._asker.remaining(deadline)
        if key is not None:
            recipient = await self._asker.learn(left.seconds)
            request.sealed_key = recipient.hand_over(key, request.request_id)
        response = await self._asker.call(
            self._on.custody.Unlock, request, left.seconds
        )
        return read_moment(response.unlock_time)

    async def rotate(
        self, *, request_id: RequestId = None, deadline: float | None = None
    ) -> dt.datetime:
        """Begin to replace the keys that everything of one's own is sealed under.

        When this returns, whatever is sealed from then on is under newer keys; the rest
        follows by itself: `custody` tells how far it is, and `erasures` has the
        certificate at its end. Where a rotation is under way, nothing is begun.

        Returns:
            When the rotation was begun that is under way now.

        Raises:
            UnavailableError: the galleries are locked.
        """
        request = self._requests.under(request_id, custody_pb2.RotateRequest())
        response = await self._asker.call(self._on.custody.Rotate, request, deadline)
        return read_moment(response.begin_time)

    async def destroy(
        self,
        *,
        confirm_holder: str,
        request_id: RequestId = None,
        deadline: float | None = None,
    ) -> dt.datetime:
        """Destroy one's own galleries, for good; `unlock` begins anew with empty ones.

        When this returns, nothing opens any more what was enrolled. Its rows are
        deleted by and by: `custody` tells how far that is, and `erasures` has the
        certificate at its end.

        Args:
            confirm_holder: one's own member code, so that nothing is destroyed by
                mistake.
            request_id: UUID; give it again to repeat the same request.
            deadline: seconds.

        Returns:
            When the keys were destroyed; the same moment where that was done before.

        Raises:
            InvalidRequestError: `confirm_holder` is not one's own code.
        """
        asked = custody_pb2.DestroyRequest(confirm_holder=confirm_holder)
        request = self._requests.under(request_id, asked)
        response = await self._asker.call(self._on.custody.Destroy, request, deadline)
        return read_moment(response.destroy_time)

    async def custody(self, *, deadline: float | None = None) -> CustodyInfo:
        """Tell whether one's own galleries are open, and what is being done."""
        request = custody_pb2.GetCustodyRequest()
        return read_custody(
            await self._asker.call(self._on.custody.GetCustody, request, deadline)
        )

    def erasures(
        self, *, deadline: float | None = None
    ) -> AsyncGenerator[ErasureInfo, None]:
        """Iterate over what keys of one's own are no more; `deadline` is a page's."""

        def page(
            token: str,
        ) -> Coroutine[Any, Any, custody_pb2.ListErasuresResponse]:
            request = custody_pb2.ListErasuresRequest(
                page_size=limits.MAX_PAGE_RECORDS, page_token=token
            )
            return self._asker.call(self._on.custody.ListErasures, request, deadline)

        return pages(page, read_erasures)
