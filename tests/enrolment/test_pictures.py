"""A picture is decoded as a viewer shows it, or refused with one clear reason."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from tiny_model import encoded, noise

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.extractors.picture import decode

RED_LEFT = np.zeros((40, 60, 3), np.uint8)
RED_LEFT[:, :30, 0] = 255


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return an image's file."""
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def bomb() -> bytes:
    """Return a PNG of a few bytes that says it has 2**36 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return (
            struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))
        )

    header = struct.pack(">IIBBBBB", 1 << 18, 1 << 18, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"\0" * 9)


def animated() -> bytes:
    """Return a PNG that moves."""
    frames = [Image.fromarray(noise(seed)) for seed in range(3)]
    return saved(frames[0], save_all=True, append_images=frames[1:], duration=100)


def pages() -> bytes:
    """Return a TIFF of two pages."""
    first, second = (Image.fromarray(noise(seed)) for seed in range(2))
    return saved(first, "TIFF", save_all=True, append_images=[second])


def half_transparent() -> bytes:
    """Return a PNG of which a corner shows what is behind it."""
    image = Image.fromarray(noise(1)).convert("RGBA")
    image.putpixel((0, 0), (1, 2, 3, 0))
    return saved(image)


DEEP = Image.fromarray(np.full((40, 40), 40000, np.uint16))
BAD = {
    "a text": (b"reference,file\n", "NOT_A_PICTURE"),
    "nothing": (b"", "NOT_A_PICTURE"),
    "another format": (saved(Image.fromarray(noise(1)), "GIF"), "NOT_A_PICTURE"),
    "a bomb": (bomb(), "PICTURE_TOO_LARGE"),
    "an animation": (animated(), "SEVERAL_PICTURES"),
    "pages": (pages(), "SEVERAL_PICTURES"),
    "transparent": (half_transparent(), "TRANSPARENT"),
    "printing colours": (
        saved(Image.fromarray(noise(1)).convert("CMYK"), "JPEG"),
        "WRONG_COLOURS",
    ),
    "16 bits, PNG": (saved(DEEP), "WRONG_COLOURS"),
    "16 bits, TIFF": (saved(DEEP, "TIFF"), "WRONG_COLOURS"),
    "a stamp": (encoded(noise(1, limits.MIN_PICTURE_SIDE - 1)), "PICTURE_TOO_SMALL"),
    **{
        f"half a {kind}": (data[: len(data) // 2], "PICTURE_DAMAGED")
        for kind in ("JPEG", "PNG", "BMP", "TIFF")
        for data in [encoded(noise(1, 64), kind)]
    },
}


@pytest.mark.parametrize(("data", "reason"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_taken_is_refused(data: bytes, reason: str):
    """Each with its own reason, and nothing but that error."""
    with pytest.raises(InvalidRequestError) as caught:
        decode(data)
    assert caught.value.reason == reason


def test_what_is_too_large_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
):
    """By the size that the file says."""
    monkeypatch.setattr(limits, "MAX_PICTURE_PIXELS", 2000)
    with pytest.raises(InvalidRequestError, match=r"2,400 pixels where 2,000"):
        decode(encoded(RED_LEFT)[:60])


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_pixels_are_those_of_the_file(kind: str):
    """Where the format loses nothing."""
    assert np.array_equal(decode(encoded(RED_LEFT, kind)).pixels, RED_LEFT)


def test_a_picture_is_turned_upright():
    """As its EXIF data say: cameras write what they saw lying on the side."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned = decode(encoded(RED_LEFT, exif=exif)).pixels
    assert turned.shape == (60, 40, 3)
    assert np.array_equal(turned, np.rot90(RED_LEFT, -1))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_grey_palettes_and_opaque_pictures_are_taken(mode: str):
    """An alpha channel that hides nothing does no harm."""
    image = Image.fromarray(np.full((40, 40, 3), 255, np.uint8)).convert(mode)
    assert (decode(saved(image)).pixels == 255).all()


@pytest.mark.parametrize(("said", "taken"), [(500, 500), (1, None), (96, None)])
def test_a_resolution_counts_where_it_is_credible(said: int, taken: int | None):
    """Many programs write 1, 72 or 96 where they do not know."""
    found = decode(encoded(noise(1), "TIFF", dpi=(said, said))).per_inch
    assert found == (taken if taken is None else pytest.approx(taken, abs=1))
