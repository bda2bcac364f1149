"""Calls about searches that gave cause to look: what was frozen, and alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.client.calls.calls import Calls
from biometrics.client.messages import decide_review_request
from biometrics.client.responses.reviewing import read_alerts, read_reviews
from biometrics.v1 import review_pb2

if TYPE_CHECKING:
    from biometrics.client.results.reviewing import AlertInfo, ReviewInfo


class ReviewCalls(Calls):
    """List freezes and alerts, and decide on a freeze."""

    async def reviews(self, *, deadline: float | None = None) -> tuple[ReviewInfo, ...]:
        """List the records that are frozen for a requester, of one's own two sides.

        Takes an auditor's or an administrator's certificate.
        """
        request = review_pb2.ListReviewsRequest()
        return read_reviews(
            await self._asker.call(self._on.reviews.ListReviews, request, deadline)
        )

    async def decide_review(
        self, case: str, verdict: str, *, deadline: float | None = None
    ) -> bool:
        """Say whether a freeze should last; it is done once both sides say the same.

        Args:
            case: from `reviews`.
            verdict: `confirm` or `lift`.
            deadline: seconds.

        Returns:
            Whether it is done now.

        Raises:
            NotFoundError: it has lapsed, or was lifted.
            RefusedError: one is neither the requester's administrator nor the holder's
                auditor.
        """
        request = decide_review_request(case, verdict)
        response = await self._asker.call(
            self._on.reviews.DecideReview, request, deadline
        )
        return response.decided

    async def alerts(self, *, deadline: float | None = None) -> tuple[AlertInfo, ...]:
        """List how often agreements were used in ways that gave cause for an alert."""
        request = review_pb2.ListAlertsRequest()
        return read_alerts(
            await self._asker.call(self._on.reviews.ListAlerts, request, deadline)
        )
