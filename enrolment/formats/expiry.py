"""When a record expires, as files and options say it."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from biometrics.clock import UTC
from biometrics.errors import Fault, InvalidRequestError

# RFC 3339, which Python's own reader of ISO 8601 goes far beyond.
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII
)


def read_expiry(text: str) -> dt.datetime:
    """Return the moment from which no search finds a record.

    Args:
        text: a day in UTC, the last one on which searches find it, such as
            `2030-12-31`; or a moment with its offset, `2030-12-31T12:00:00Z`.

    Raises:
        InvalidRequestError: it is neither.
    """
    try:
        if _DAY.fullmatch(text):
            return end_of_day(dt.date.fromisoformat(text))
        if _MOMENT.fullmatch(text):
            return dt.datetime.fromisoformat(text).astimezone(UTC)
    except (OverflowError, ValueError):  # no such day or hour
        pass
    message = (
        "must be a day such as `2030-12-31`, the last on which searches find the"
        " record, or a moment such as `2030-12-31T12:00:00Z`"
    )
    fault = Fault(field="expires", reason="WRONG_TIME", message=message)
    raise InvalidRequestError.of([fault])


def end_of_day(day: dt.date) -> dt.datetime:
    """Return the last moment of a day in UTC."""
    return dt.datetime.combine(day, dt.time.max, UTC)
