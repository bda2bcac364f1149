"""Responses about follow-ups."""

from __future__ import annotations

from biometrics.client.responses.times import read_moment
from biometrics.client.results.follow_ups import ReceivedFollowUp, RequestedFollowUp
from biometrics.client.words import word_of
from biometrics.signing import SignedRequest
from biometrics.v1 import followup_pb2


def read_requested(
    message: followup_pb2.ListRequestedFollowUpsResponse,
) -> tuple[RequestedFollowUp, ...]:
    """Return the follow-ups that one has asked for."""
    return tuple(
        RequestedFollowUp(
            follow_up_id=each.follow_up_id,
            holder=each.holder,
            state=word_of(followup_pb2.FollowUpState, each.state),
            refusal=word_of(followup_pb2.Refusal, each.refusal),
            requested_at=read_moment(each.request_time),
        )
        for each in message.follow_ups
    )


def read_received(
    message: followup_pb2.ListReceivedFollowUpsResponse,
) -> tuple[ReceivedFollowUp, ...]:
    """Return the follow-ups that wait for oneself.

    Raises:
        InvalidRequestError: the exchange gave something else than what is signed.
    """
    return tuple(
        ReceivedFollowUp(
            signed=SignedRequest.parse(each.note),
            state=word_of(followup_pb2.FollowUpState, each.state),
            references=tuple(each.references),
            record_count=each.record_count,
            confirmation=each.confirmation,
            requested_at=read_moment(each.request_time),
            expires_at=read_moment(each.expire_time),
        )
        for each in message.follow_ups
    )
