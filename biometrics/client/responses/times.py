"""Moments and days, as responses have them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp


def read_moment(stamp: Timestamp) -> dt.datetime:
    """Return an aware moment in UTC."""
    return stamp.ToDatetime(tzinfo=dt.UTC)


def read_day(text: str) -> dt.date | None:
    """Return the day of YYYY-MM-DD, or None where it is open."""
    return dt.date.fromisoformat(text) if text else None
