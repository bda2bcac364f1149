"""Responses about what gave cause to look."""

from __future__ import annotations

from biometrics.client.results.reviewing import AlertInfo, ReviewInfo
from biometrics.client.words import word_of
from biometrics.v1 import review_pb2


def read_reviews(message: review_pb2.ListReviewsResponse) -> tuple[ReviewInfo, ...]:
    """Return the freezes that can be reviewed."""
    return tuple(
        ReviewInfo(
            case=review.case_id,
            holder=review.holder,
            requester=review.requester,
            searches=review.search_count,
            lapses_on=review.lapse_day,
            requester_says=word_of(review_pb2.Verdict, review.requester_verdict),
            auditor_says=word_of(review_pb2.Verdict, review.auditor_verdict),
        )
        for review in message.reviews
    )


def read_alerts(message: review_pb2.ListAlertsResponse) -> tuple[AlertInfo, ...]:
    """Return what gave cause for alerts."""
    return tuple(
        AlertInfo(
            kind=word_of(review_pb2.AlertKind, alert.kind),
            holder=alert.holder,
            requester=alert.requester,
            count=alert.count,
            space=alert.space,
        )
        for alert in message.alerts
    )
