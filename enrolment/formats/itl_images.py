"""Images in records of types 4, 10 and 14 of a transaction by ANSI/NIST-ITL.

They are taken out as they are coded; nothing is decoded here.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.templates import Modality, Position
from enrolment.formats.finger import word_of
from enrolment.formats.image import Coding, ImageSample
from enrolment.formats.itl_fields import one_finger, per_centimetre

if TYPE_CHECKING:
    from enrolment.formats.itl import ItlRecord

_CODINGS: Final = {
    b"NONE": Coding.RAW,
    b"WSQ": Coding.WSQ,
    b"WSQ20": Coding.WSQ,
    b"JPEGB": Coding.JPEG,
    b"JPEGL": Coding.JPEG_LOSSLESS,
    b"JP2": Coding.JPEG_2000,
    b"JP2L": Coding.JPEG_2000,
    b"PNG": Coding.PNG,
}
_MOST_PIXELS: Final = 0xFFFF
_DATA: Final = 999

# Type 4: impression, six positions, resolution, width, height, coding; then the image.
_HEAD: Final = struct.Struct(">B6sBHHB")
_NO_POSITION: Final = 255
_MINIMUM_PER_CM: Final = 197  # 500 pixels an inch, which resolution 0 stands for
_NATIVE: Final = 1  # another resolution, which is said elsewhere
_CODES: Final = (
    *(Coding.RAW, Coding.WSQ, Coding.JPEG, Coding.JPEG_LOSSLESS),
    *(Coding.JPEG_2000, Coding.JPEG_2000, Coding.PNG),
)

# Types 10 and 14.
_WIDTH, _HEIGHT, _SCALE, _ACROSS, _DOWN, _CODING = 6, 7, 8, 9, 10, 11
_IMAGE_TYPE, _FACE_COLOURS = 3, 12
_BITS, _FINGER, _QUALITY = 12, 13, 24
_COMPONENTS: Final = {b"GRAY": 1, b"RGB": 3, b"SRGB": 3}
_UNSAID: Final = frozenset({254, 255})


def read_type_4(record: ItlRecord) -> ImageSample:
    """Return the fingerprint of a record of type 4.

    Raises:
        InvalidRequestError: a field is wrong.
    """
    if len(record.data) <= _HEAD.size:
        raise record.wrong(1, "leaves no room for an image")
    _, places, resolution, width, height, code = _HEAD.unpack_from(record.data)
    if resolution > _NATIVE:
        raise record.wrong(5, f"`{resolution}` is neither 0 nor 1")
    if not width or not height:
        raise record.wrong(6, "the image has no pixels")
    if code >= len(_CODES):
        raise record.wrong(8, f"`{code}` is no code of a compression")
    sample = ImageSample(
        data=record.data[_HEAD.size :],
        coding=_CODES[code],
        width=width,
        height=height,
        horizontal=None if resolution else _MINIMUM_PER_CM,
        vertical=None if resolution else _MINIMUM_PER_CM,
        modality=Modality.FINGERPRINT,
        position=word_of(one_finger([p for p in places if p != _NO_POSITION])),
        quality=None,
    )
    _check_raw(record, sample, components=1)
    return sample


def read_type_10(record: ItlRecord) -> ImageSample:
    """Return the image of a record of type 10: a face, or something else of a body.

    Raises:
        InvalidRequestError: a field is wrong.
    """
    is_face = record.text(_IMAGE_TYPE) == b"FACE"
    sample = _sample(
        record,
        modality=Modality.FACE if is_face else None,
        position=Position.FACE.value if is_face else None,
        quality=None,
    )
    if sample.coding is Coding.RAW:
        colours = record.text(_FACE_COLOURS)
        if colours not in _COMPONENTS:
            raise record.wrong(_FACE_COLOURS, "is neither GRAY nor RGB nor SRGB")
        _check_raw(record, sample, components=_COMPONENTS[colours])
    return sample


def read_type_14(record: ItlRecord) -> ImageSample:
    """Return the fingerprint of a record of type 14; of several fingers it has no word.

    Raises:
        InvalidRequestError: a field is wrong.
    """
    record.whole(_BITS, 8, 8)
    codes = [record.count(_FINGER, row[0], 0, 255) for row in record.rows(_FINGER)]
    sample = _sample(
        record,
        modality=Modality.FINGERPRINT,
        position=word_of(one_finger(codes)),
        quality=_quality(record),
    )
    _check_raw(record, sample, components=1)
    return sample


def _sample(
    record: ItlRecord,
    *,
    modality: Modality | None,
    position: str | None,
    quality: int | None,
) -> ImageSample:
    """Return what types 10 and 14 write alike."""
    unit = record.whole(_SCALE, 0, 2)  # 0: no scale is known
    coding = _CODINGS.get(record.text(_CODING))
    if coding is None:
        raise record.wrong(_CODING, f"is none of {', '.join(_names())}")
    if not record.data:
        raise record.wrong(_DATA, "is missing")
    return ImageSample(
        data=record.data,
        coding=coding,
        width=record.whole(_WIDTH, 1, _MOST_PIXELS),
        height=record.whole(_HEIGHT, 1, _MOST_PIXELS),
        horizontal=per_centimetre(record, _ACROSS, unit) if unit else None,
        vertical=per_centimetre(record, _DOWN, unit) if unit else None,
        modality=modality,
        position=position,
        quality=quality,
    )


def _names() -> list[str]:
    """Return the names of compressions that are read."""
    return [name.decode() for name in _CODINGS]


def _quality(record: ItlRecord) -> int | None:
    """Return the quality that 14.024 gives of the one finger, if any.

    That of 14.022 has another scale.
    """
    if _QUALITY not in record.fields:
        return None
    row, *others = record.rows(_QUALITY)
    pair = 2  # finger and quality
    if len(row) < pair:
        raise record.wrong(_QUALITY, "has a finger without its quality")
    quality = record.count(_QUALITY, row[1], 0, 255)
    if quality > limits.MAX_QUALITY and quality not in _UNSAID:
        told = f"`{quality}` is neither 0 to {limits.MAX_QUALITY} nor 254 nor 255"
        raise record.wrong(_QUALITY, told)
    return None if others or quality in _UNSAID else quality


def _check_raw(record: ItlRecord, sample: ImageSample, *, components: int) -> None:
    """Refuse raw pixels that are not as many as width and height say."""
    size = sample.width * sample.height * components
    if sample.coding is Coding.RAW and len(sample.data) != size:
        told = f"has {len(sample.data)} bytes of pixels where the size needs {size}"
        raise record.wrong(_DATA, told)
