"""What the commands that take pictures have in common: options, extractors, sheets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from biometrics import limits
from biometrics.cli.new_file import check_new, write_new_file
from biometrics.errors import ConfigurationError, Fault, InvalidRequestError
from enrolment.extractors.choice import choose
from enrolment.extractors.stage import Extraction
from enrolment.extractors.workers import Workers, default_count
from enrolment.formats.files import open_regular
from enrolment.formats.pictures import is_picture, read_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.client import ExchangeClient, SpaceInfo
    from enrolment.extractors.choice import Choice
    from enrolment.formats.finger import FingerView
    from enrolment.formats.source import VectorSample

ModelOption = Annotated[
    Path | None,
    typer.Option(
        help="Extract pictures by this model of your own: TOML that names an ONNX file"
        " and says how to feed it.",
        metavar="FILE.toml",
    ),
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(
        help="Processes that extract pictures; by default one a core.",
        metavar="N",
        min=1,
        max=limits.MAX_EXTRACTION_PROCESSES,
    ),
]
SheetOption = Annotated[
    Path | None,
    typer.Option(
        help=f"New picture of what was found in the first {limits.MAX_SHEET_PICTURES}"
        " pictures: boxes of faces, minutiae. It shows them: handle it as you handle"
        " the pictures.",
        metavar="FILE.png",
    ),
]


def extraction_for(
    space: str,
    spaces: Sequence[SpaceInfo],
    model: Path | None,
    processes: int | None,
    *,
    sheet: bool,
) -> Extraction:
    """Return what makes templates of a space out of pictures.

    Args:
        space: its name.
        spaces: of the exchange.
        model: the file of the operator's model, if any.
        processes: how many; None for one a core.
        sheet: whether a contact sheet is wanted.
    """
    return Extraction(
        partial(_choose, space, spaces, model),
        processes or default_count(),
        sheet=sheet,
    )


def extract_probe(
    path: Path, space: str, exchange: ExchangeClient, model: Path | None
) -> VectorSample | FingerView:
    """Return what one picture has, extracted here: the picture is never sent.

    Raises:
        InvalidRequestError: it cannot be extracted, or not into that space.
        ConfigurationError: the extractor is not installed.
    """
    with open_regular(path) as file:
        data = read_picture(file, str(path))
    choice = _choose(space, exchange.spaces(), model)
    with Workers(choice, 1) as workers:
        answer = workers.submit(data, preview=False).result()
    if answer.extracted is None:
        raise InvalidRequestError.of(
            [
                Fault(field=str(path), reason=f.reason, message=f.message)
                for f in answer.faults
            ]
        )
    return answer.extracted.sample


def takes_model(path: Path, model: Path | None) -> bool:
    """Say whether a probe's file is a picture.

    Raises:
        InvalidRequestError: it is none, and a model is named all the same.
    """
    if is_picture(path.name):
        return True
    if model is not None:
        raise InvalidRequestError(
            "NO_PICTURE", f"--model: `{path}` is no picture; leave the option out"
        )
    return False


def check_sheet(path: Path | None) -> None:
    """Find out whether a contact sheet can be made.

    Raises:
        ConfigurationError: it cannot.
    """
    if path is None:
        return
    if path.suffix.lower() != ".png":
        raise ConfigurationError("NOT_PNG", f"`{path}` must end in `.png`")
    check_new(path, "the contact sheet", "--contact-sheet")


def write_sheet(path: Path | None, extraction: Extraction | None) -> None:
    """Write the contact sheet, if one is wanted and there were pictures.

    Raises:
        ConfigurationError: it cannot be written.
    """
    if path is None or extraction is None or not extraction.shown:
        return
    from enrolment.extractors.sheet import make_sheet  # noqa: PLC0415 - an extra

    write_new_file(path, make_sheet(extraction.shown))


def _choose(space: str, spaces: Sequence[SpaceInfo], model: Path | None) -> Choice:
    """Return the extractor of a template space."""
    found = next((each for each in spaces if each.name == space), None)
    if found is None:
        shown = space[: limits.MAX_NAME_CHARACTERS]
        raise InvalidRequestError(
            "UNKNOWN_SPACE", f"`{shown}` is no template space of this exchange"
        )
    return choose(found.extractor, found.extractor_version, model)
