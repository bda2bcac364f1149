"""Responses about one's own keys."""

from __future__ import annotations

from biometrics.client.responses.times import read_moment
from biometrics.client.results.custody import CustodyInfo, ErasureInfo
from biometrics.client.words import word_of
from biometrics.v1 import custody_pb2


def read_custody(message: custody_pb2.GetCustodyResponse) -> CustodyInfo:
    """Return whether one's galleries are open."""
    changed = message.HasField("change_time")
    return CustodyInfo(
        state=word_of(custody_pb2.CustodyState, message.state),
        since=read_moment(message.change_time) if changed else None,
        is_busy=message.busy,
        items_left=message.items_left,
        trouble=message.trouble,
    )


def read_erasures(
    message: custody_pb2.ListErasuresResponse,
) -> tuple[ErasureInfo, ...]:
    """Return one page of what keys of one's own are no more."""
    return tuple(
        ErasureInfo(
            number=erasure.number,
            kind=word_of(custody_pb2.ErasureKind, erasure.kind),
            deleted_at=read_moment(erasure.delete_time),
            records=erasure.record_count,
            certificate=erasure.certificate,
            verifier_key=message.verifier_key,
        )
        for erasure in message.erasures
    )
