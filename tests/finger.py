"""Records of finger minutiae, written as ISO/IEC 19794-2 lays them out."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from enrolment.formats.finger import (
    FingerView,
    Minutia,
    MinutiaeRecord,
    MinutiaType,
)

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn
    from numpy.typing import NDArray


def write_record(record: MinutiaeRecord) -> bytes:
    """Return the bytes of a record, with extended data of zeros."""
    return (_write_2005 if record.edition == 2005 else _write_2011)(record)


def _write_2005(record: MinutiaeRecord) -> bytes:
    first = record.views[0]
    body = struct.pack(
        ">HHHHHBB",
        *(0x00B5, first.width, first.height, first.horizontal, first.vertical),
        *(len(record.views), 0),
    )
    for view in record.views:
        body += struct.pack(
            ">BBBB",
            view.position_code,
            view.view << 4 | view.impression,
            view.quality or 0,
            len(view.minutiae),
        )
        body += b"".join(_minutia(each, each.quality or 0) for each in view.minutiae)
        body += _extended(view)
    return b"FMR\0 20\0" + (len(body) + 12).to_bytes(4, "big") + body


def _write_2011(record: MinutiaeRecord) -> bytes:
    body = b"".join(map(_representation, record.views))
    head = struct.pack(">HB", len(record.views), 0)
    length = (len(body) + 15).to_bytes(4, "big")
    return b"FMR\x00030\0" + length + head + body


def _representation(view: FingerView) -> bytes:
    body = struct.pack(">HBBBBBH", 2026, 1, 2, 3, 4, 5, 678)
    body += struct.pack(">BHH", 0, 0, 0)
    quality = 255 if view.quality is None else view.quality
    body += struct.pack(">BBHH", 1, quality, 7, 8)
    body += struct.pack(
        ">BBHHBHHBB",
        *(view.position_code, view.view, view.horizontal, view.vertical),
        *(view.impression, view.width, view.height, 0x60, len(view.minutiae)),
    )
    for each in view.minutiae:
        body += _minutia(each, 254 if each.quality is None else each.quality)
    body += _extended(view)
    return (len(body) + 4).to_bytes(4, "big") + body


def _minutia(minutia: Minutia, quality: int) -> bytes:
    first = minutia.type << 14 | minutia.x
    return struct.pack(">HHBB", first, minutia.y, minutia.angle, quality)


def _extended(view: FingerView) -> bytes:
    return view.extended_bytes.to_bytes(2, "big") + bytes(view.extended_bytes)


def small_record(edition: int, views: int = 2) -> MinutiaeRecord:
    """Return a record with some minutiae and some extended data."""
    return MinutiaeRecord(
        edition=edition,
        views=tuple(
            FingerView(
                position_code=code,
                view=0,
                impression=0,
                width=400,
                height=500,
                horizontal=197,
                vertical=197,
                quality=90,
                minutiae=tuple(
                    Minutia(
                        x=10 * number,
                        y=499 - number,
                        type=MinutiaType(number % 3),
                        angle=number,
                        quality=80,
                    )
                    for number in range(3)
                ),
                extended_bytes=5,
            )
            for code in range(1, 1 + views)
        ),
    )


def record_of(
    minutiae: NDArray[np.float64], *, code: int = 2, per_cm: int = 197
) -> MinutiaeRecord:
    """Return the record of one print, whose minutiae are as `prints.finger` has them.

    Args:
        minutiae: (n, 3).
        code: of the finger.
        per_cm: pixels, which the record is of.
    """
    rows = minutiae * (1, -1, 128 / np.pi)
    rows[:, :2] -= rows[:, :2].min(axis=0)
    rows[:, :2] *= per_cm * 2.54 / 500
    placed = np.rint(rows).astype(int)
    (view,) = small_record(2005, 1).views
    found = tuple(
        Minutia(x=x, y=y, type=MinutiaType.ENDING, angle=angle % 256, quality=None)
        for x, y, angle in placed.tolist()
    )
    width, height = (placed[:, :2].max(axis=0) + 1).tolist()
    whole = replace(
        view,
        position_code=code,
        width=width,
        height=height,
        horizontal=per_cm,
        vertical=per_cm,
        minutiae=found,
    )
    return MinutiaeRecord(edition=2005, views=(whole,))


@st.composite
def records(draw: DrawFn) -> MinutiaeRecord:
    """Draw any record that the standard allows and that both editions can say."""
    edition = draw(st.sampled_from([2005, 2011]))
    size = st.integers(1, 0x3FFF)
    rate = st.integers(99, 0xFFFF)
    width, height, across, down = (draw(each) for each in (size, size, rate, rate))
    quality = st.none() | st.integers(1, 100)
    minutia = st.builds(
        Minutia,
        x=st.integers(0, width - 1),
        y=st.integers(0, height - 1),
        type=st.sampled_from(MinutiaType),
        angle=st.integers(0, 255),
        quality=quality,
    )
    view = st.builds(
        FingerView,
        position_code=st.integers(0, 10),
        view=st.integers(0, 15),
        impression=st.sampled_from([0, 1, 2, 3, 8]),
        width=st.just(width),
        height=st.just(height),
        horizontal=st.just(across),
        vertical=st.just(down),
        quality=quality,
        minutiae=st.lists(minutia, min_size=1, max_size=5).map(tuple),
        extended_bytes=st.integers(0, 20),
    )
    views = draw(
        st.lists(
            view,
            min_size=1,
            max_size=4,
            unique_by=lambda each: (each.position_code, each.view),
        )
    )
    return MinutiaeRecord(edition=edition, views=tuple(views))
