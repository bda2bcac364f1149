"""Pictures as they come: decoded and upright, or refused with one clear reason.

Decoders are large programs in C that read what strangers made: this runs in a worker
process, see `workers`. What kind of picture it is the content says, not the name. A
picture is refused where the pixels that a viewer shows depend on more than the file
says plainly: transparent parts, printing colours, more than eight bits.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageOps

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.extractors.extractor import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMATS: Final = ("JPEG", "PNG", "BMP", "TIFF")
_PLAIN: Final = frozenset({"1", "L", "P", "RGB", "YCbCr"})
_WITH_ALPHA: Final = frozenset({"LA", "PA", "RGBA"})
_OPAQUE: Final = 255
# Below this a file repeats what some program writes where it knows nothing: 1, 72, 96.
_LEAST_PER_INCH: Final = 200


def decode(data: bytes) -> Picture:
    """Return the picture that a file is.

    Raises:
        InvalidRequestError: it is none, is damaged, or cannot be taken as it is.
    """
    with warnings.catch_warnings():
        # Pillow warns of damage that it gets over, and of bombs that are not very
        # large: what is too large is measured here.
        warnings.simplefilter("ignore")
        with _opened(data) as image:
            _check(image)
            pixels = _pixels(_loaded(image))
            return Picture(pixels=pixels, per_inch=_per_inch(image))


def _opened(data: bytes) -> Image.Image:
    """Read what kind of picture a file is, and how large."""
    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large("more") from error
    except Exception as error:  # decoders raise anything
        message = "is no JPEG, PNG, BMP or TIFF picture, whatever its name says"
        raise InvalidRequestError("NOT_A_PICTURE", message) from error


def _check(image: Image.Image) -> None:
    """Refuse what is not to be decoded, before it is."""
    width, height = image.size
    if width * height > limits.MAX_PICTURE_PIXELS:
        raise _too_large(f"{width * height:,}")
    if min(width, height) < limits.MIN_PICTURE_SIDE:
        raise InvalidRequestError(
            "PICTURE_TOO_SMALL",
            f"has {width} by {height} pixels; each side must have"
            f" {limits.MIN_PICTURE_SIDE} or more",
        )
    # A JPEG of a telephone may carry a preview or a map of brightness as well (MPO).
    frames = 1 if image.format == "MPO" else _frames(image)
    if frames > 1:
        raise InvalidRequestError(
            "SEVERAL_PICTURES",
            f"holds {frames} pictures (animated, or several pages); save the one that"
            " is meant",
        )
    if image.mode not in _PLAIN | _WITH_ALPHA:
        raise InvalidRequestError(
            "WRONG_COLOURS",
            f"has pixels of the sort `{image.mode}`, such as printing colours or 16"
            " bits; save it in grey or RGB with 8 bits a channel",
        )


def _frames(image: Image.Image) -> int:
    """Return how many pictures a file holds."""
    try:
        count: int = getattr(image, "n_frames", 1)
    except Exception as error:  # of a TIFF every page is looked for
        raise _damaged() from error
    return count


def _loaded(image: Image.Image) -> Image.Image:
    """Decode a picture, and turn it as its EXIF data say."""
    try:
        image.load()
        turned = ImageOps.exif_transpose(image)
    except Exception as error:  # decoders raise anything
        raise _damaged() from error
    return turned


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return red, green and blue of every pixel."""
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < _OPAQUE:
            raise InvalidRequestError(
                "TRANSPARENT", "has transparent parts; save it without (flattened)"
            )
    return np.array(image.convert("RGB"), np.uint8)


def _per_inch(image: Image.Image) -> float | None:
    """Return pixels an inch, if the same both ways and credible."""
    try:
        across, down = (float(each) for each in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    credible = _LEAST_PER_INCH <= across <= limits.MAX_PIXELS_PER_INCH
    return across if credible and abs(across - down) < 1 else None


def _damaged() -> InvalidRequestError:
    """Return the refusal of a picture that cannot be decoded to its end."""
    message = "breaks off or is damaged; copy it again"
    return InvalidRequestError("PICTURE_DAMAGED", message)


def _too_large(told: str) -> InvalidRequestError:
    """Return the refusal of a picture that would fill the memory."""
    return InvalidRequestError(
        "PICTURE_TOO_LARGE",
        f"has {told} pixels where {limits.MAX_PICTURE_PIXELS:,} are the most; make it"
        " smaller",
    )
