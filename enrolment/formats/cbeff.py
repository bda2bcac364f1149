"""CBEFF wrappers in the XML patron format of ISO/IEC 19785-3, read strictly.

One file is of one person: a tree of BIRs, of which those that hold finger minutiae by
ISO/IEC 19794-2 are read. What has a document type is refused before anything of it is
expanded, and what is encrypted because nobody here can open it. Signatures are passed
over: who made a file is for whoever takes it in to know.
Source: the schema that OASIS BIAS publishes, and what MOSIP writes by it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

# Without document types there are no entities, external or of many sizes.
from xml.etree import ElementTree as ET

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from enrolment.formats.finger import code_of
from enrolment.formats.minutiae import read_minutiae

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from enrolment.formats.finger import FingerView

_NAMESPACES: Final = (
    "{http://standards.iso.org/iso-iec/19785/-3/ed-2/}",
    "{http://docs.oasis-open.org/bias/ns/bias-1.0/}",
    "",
)
# ISO/IEC JTC 1/SC 37 at the registry of IBIA, and the name that MOSIP has for it.
_OWNERS: Final = frozenset({"257", "mosip"})
_MINUTIAE: Final = frozenset({1, 2})  # records of 19794-2, without and with extension
_PASSED_OVER: Final = range(3, 64)  # cards, images, faces, irises and all others
_FALSE: Final = frozenset({"", "false", "0"})
_FINGERS: Final = {
    f"{side} {name}": f"{side.lower()}-{word}"
    for side in ("Right", "Left")
    for name, word in (
        ("Thumb", "thumb"),
        ("IndexFinger", "index"),
        ("MiddleFinger", "middle"),
        ("RingFinger", "ring"),
        ("LittleFinger", "little"),
    )
}


def read_cbeff(data: bytes) -> tuple[FingerView, ...]:
    """Return the views of minutiae that a file holds, in its order.

    Raises:
        InvalidRequestError: it is none, with all that is wrong in any of its BIRs; or
            none of them holds minutiae.
    """
    root = _parsed(data)
    faults: list[Fault] = []
    views: list[FingerView] = []
    for bir in _birs(root):
        try:
            views += _read_bir(bir)
        except InvalidRequestError as error:
            faults += [fault.under(bir.where) for fault in error.faults]
    if faults:
        raise InvalidRequestError.of(faults)
    if not views:
        raise _wrong(
            "BIR",
            "there is none that holds finger minutiae by ISO/IEC 19794-2; images,"
            " faces and irises in wrappers are not read",
        )
    return tuple(views)


@dataclass(frozen=True, slots=True)
class _Bir:
    """One BIR, and where it stands."""

    element: Element
    where: str

    def text(self, *path: str) -> str:
        """Return the text of an element below, or nothing where there is none."""
        at: Element | None = self.element
        for name in path:
            at = None if at is None else _child(at, name)
        return "" if at is None else (at.text or "").strip()


class _Builder(ET.TreeBuilder):
    """Builds a tree that is neither deep nor wide, and declares nothing."""

    def __init__(self) -> None:
        """Begin above the root."""
        super().__init__()
        self._depth = self._elements = 0
        self.events = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        """Begin an element."""
        self.events += 1
        self._depth += 1
        self._elements += 1
        if self._elements > limits.MAX_BIR_ELEMENTS:
            told = f"has more than {limits.MAX_BIR_ELEMENTS} elements"
            raise _wrong("BIR", told)
        if self._depth > limits.MAX_BIR_DEPTH:
            raise _wrong("BIR", f"is deeper than {limits.MAX_BIR_DEPTH} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        """End an element."""
        self.events += 1
        self._depth -= 1
        return super().end(tag)

    def data(self, data: str, /) -> None:
        """Take text, as much as was read."""
        self.events += 1
        super().data(data)

    def doctype(self, *_: object) -> None:
        """Refuse a document type."""
        raise _wrong("DOCTYPE", "is there; no wrapper has one")


def _parsed(data: bytes) -> Element:
    """Return the root of a document.

    Raises:
        InvalidRequestError: it is none, or its root is no BIR.
    """
    builder = _Builder()
    parser = ET.XMLParser(target=builder)  # noqa: S314 - see above
    size = limits.BIR_PIECE_BYTES
    try:
        for start in range(0, len(data), size):
            before = builder.events
            parser.feed(data[start : start + size])
            if builder.events == before and start + size < len(data):
                told = f"has a tag or a comment of more than {size} bytes"
                raise _wrong("BIR", told)
            if builder.events > limits.MAX_BIR_EVENTS:
                raise _wrong("BIR", "its text is in too many pieces")
        root: Element = parser.close()
    except (ET.ParseError, ValueError, LookupError) as error:
        raise _wrong("BIR", "is no XML that is well-formed") from error
    if _local(root) != "BIR":
        raise _wrong("BIR", "the root is another element, or of another namespace")
    return root


def _birs(root: Element) -> Iterator[_Bir]:
    """Yield every BIR that holds data, in the order of the file."""
    waiting, number = [root], 0
    while waiting:
        element = waiting.pop()
        if _child(element, "BDB") is not None or _child(element, "BDBInfo") is not None:
            yield _Bir(element, f"BIR[{number}]")
            number += 1
        waiting += [each for each in reversed(element) if _local(each) == "BIR"]


def _read_bir(bir: _Bir) -> tuple[FingerView, ...]:
    """Return the views of a BIR; none if what it holds is of another format."""
    owner = bir.text("BDBInfo", "Format", "Organization")
    kind = bir.text("BDBInfo", "Format", "Type")
    if owner.lower() not in _OWNERS:
        raise _wrong("BDBInfo.Format.Organization", "is not `257`, ISO/IEC JTC 1/SC 37")
    number = _number(kind, "BDBInfo.Format.Type", 0xFFFF)
    if number in _PASSED_OVER:
        return ()
    if number not in _MINUTIAE:
        raise _wrong("BDBInfo.Format.Type", f"`{number}` is no format that is known")
    if bir.text("BDBInfo", "Encryption").lower() not in _FALSE:
        raise _wrong("BDBInfo.Encryption", "is set: it cannot be opened here")
    try:
        block = b64decode("".join(bir.text("BDB").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong("BDB", "is no base64") from error
    try:
        views = read_minutiae(block).views
    except InvalidRequestError as error:
        raise InvalidRequestError.of([f.under("BDB") for f in error.faults]) from error
    return tuple(_agreed(bir, view, single=len(views) == 1) for view in views)


def _agreed(bir: _Bir, view: FingerView, *, single: bool) -> FingerView:
    """Return a view with what the wrapper alone says; both must not contradict.

    Raises:
        InvalidRequestError: they do.
    """
    said = bir.text("BDBInfo", "Subtype")
    position = _FINGERS.get(" ".join(said.split()))
    if position is not None and single:
        if view.position_code == 0:
            view = replace(view, position_code=code_of(position))
        elif view.position != position:
            told = f"is `{position}` where the record in it says `{view.position}`"
            raise _wrong("BDBInfo.Subtype", told)
    score = bir.text("BDBInfo", "Quality", "Score")
    if score and single and view.quality is None:
        quality = _number(score, "BDBInfo.Quality.Score", limits.MAX_QUALITY)
        return replace(view, quality=quality)
    return view


def _number(text: str, where: str, most: int) -> int:
    """Return the whole number that a text is.

    Raises:
        InvalidRequestError: it is none, or greater than `most`.
    """
    digits = 5
    if text.isascii() and text.isdigit() and len(text) <= digits and int(text) <= most:
        return int(text)
    raise _wrong(where, f"is no number from 0 to {most}")


def _child(element: Element, name: str) -> Element | None:
    """Return the first child of a name, if there is one."""
    return next((each for each in element if _local(each) == name), None)


def _local(element: Element) -> str:
    """Return the name of an element of the format; nothing of any other."""
    for namespace in _NAMESPACES:
        name = str(element.tag).removeprefix(namespace)
        if "{" not in name:
            return name
    return ""


def _wrong(where: str, message: str) -> InvalidRequestError:
    """Return the error of a place in a wrapper."""
    fault = Fault(field=where, reason="WRONG_FIELD", message=message)
    return InvalidRequestError.of([fault])
