"""`biometrics calibrate`: from which cosine templates match, measured on files."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from biometrics import limits
from biometrics.calibration import write_calibration
from biometrics.cli.output import print_json, print_note
from biometrics.cli.progress import ShareProgress
from biometrics.cli.session import JsonOption
from biometrics.clock import SystemClock
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.files import OWNER_ONLY, READABLE, cannot_write, put_file
from biometrics.settings import read_text
from biometrics.spaces import parse_spaces
from biometrics.templates import Position, TemplateSpace
from enrolment.gather import gather

if TYPE_CHECKING:
    from enrolment.calibrate.measure import Measured, Pair

_MOST = 30_000  # searches support an FPIR of 1e-4


def calibrate(  # noqa: PLR0913 - what to read, how, and what to write
    gallery: Annotated[
        list[Path],
        typer.Argument(
            help="What is searched: files that `enrol` reads. A reference says whose a"
            " record is; an `.npz` may say so by an array `subject`, and have `group`"
            " and `member`, by which rates are told.",
            metavar="GALLERY...",
        ),
    ],
    *,
    space: Annotated[str, typer.Option(help="Template space.", metavar="NAME")],
    spaces: Annotated[
        Path, typer.Option(help="The exchange's `spaces.toml`.", metavar="FILE")
    ],
    probes: Annotated[
        list[Path] | None,
        typer.Option(
            help="Who searches; may be repeated. Without it the people of the gallery"
            " do, each without their own records.",
            metavar="PATH",
        ),
    ] = None,
    position: Annotated[
        str | None,
        typer.Option(help="Where the space has several.", metavar="POSITION"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="The calibration to write; else `calibrations/NAME.toml` beside"
            " `spaces.toml`.",
            metavar="FILE.toml",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a calibration that is there.")
    ] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Draw densities, error rates and their trade-off into this folder."
            " Needs the extra `pictures`.",
            metavar="DIR",
        ),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option(
            help="New file for the pairs of people with the highest scores, to look at:"
            " one person under two references ruins a calibration. It carries"
            " references: handle it as you handle the files.",
            metavar="FILE.csv",
        ),
    ] = None,
    same: Annotated[
        Path | None,
        typer.Option(
            help="What is left of such a file: the pairs that are one person.",
            metavar="FILE.csv",
        ),
    ] = None,
    searches: Annotated[
        int,
        typer.Option(
            help="People who search, at most. 3,000 support an FPIR of 1e-3, 30,000"
            " one of 1e-4.",
            metavar="N",
            min=20,
            max=1_000_000,
        ),
    ] = _MOST,
    seed: Annotated[
        int, typer.Option(help="Of all that is drawn.", metavar="N", min=0)
    ] = 1,
    as_json: JsonOption = False,
) -> None:
    """Measure from which cosine templates match, for each FPIR that can be promised.

    Every probe is compared with everybody, exhaustively; the tail of the greatest
    scores is fitted and its interval's safe end taken. The exchange reads the file when
    it starts. No exchange is needed, and nothing of a person is in the file.
    """
    chosen = read_space(spaces, space)
    path = output or spaces.parent / "calibrations" / f"{space}.toml"
    refuse_taken(path, review, replace=replace)
    measured = _measured(
        chosen,
        read_position(chosen, position),
        gallery,
        probes,
        searches=searches,
        same=read_same(same) if same else {},
        seed=seed,
    )
    write_file(path, write_calibration(measured.calibration))
    if review:
        write_file(review, review_text(measured.pairs), private=True)
    drawn = _drawn(measured, pictures) if pictures else []
    # Late, with SciPy.
    from biometrics.cli import calibration_report as report  # noqa: PLC0415

    if as_json:
        print_json(report.document(measured, path, drawn))
        return
    report.show(measured, has_review=review is not None)
    for each in (path, *drawn, *([review] if review else [])):
        print_note(f"written: {each}")


def _measured(  # noqa: PLR0913 - what to read, and how
    space: TemplateSpace,
    position: Position,
    gallery: Sequence[Path],
    probes: Sequence[Path] | None,
    *,
    searches: int,
    same: Mapping[str, str],
    seed: int,
) -> "Measured":
    """Calibrate, with a progress bar.

    Raises:
        ConfigurationError: SciPy is not installed.
        InvalidRequestError: a file is wrong, or there are too few people in them.
    """
    try:
        from enrolment.calibrate.captures import Captures  # noqa: PLC0415 - an extra
        from enrolment.calibrate.measure import measure  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise ConfigurationError(
            "EXTRA_MISSING",
            "calibration needs SciPy; install it with `pip install"
            " 'regional-biometrics-exchange[calibrate]'`",
        ) from error
    asked = Captures(gather(probes).files, space, position) if probes else None
    with ShareProgress() as bar:
        return measure(
            space,
            Captures(gather(gallery).files, space, position),
            asked,
            today=SystemClock().now().date(),
            searches=searches,
            same=same,
            seed=seed,
            progress=bar.show,
        )


def _drawn(measured: "Measured", folder: Path) -> list[Path]:
    """Draw the pictures; return where they are."""
    # Late: an extra.
    from biometrics.cli.calibration_pictures import draw  # noqa: PLC0415

    return draw(measured, folder)


def read_space(path: Path, name: str) -> TemplateSpace:
    """Return the template space that is to be calibrated.

    Raises:
        ConfigurationError: the file is wrong.
        InvalidRequestError: there is no such space.
    """
    spaces = parse_spaces(read_text(path), path.name)
    if name not in spaces:
        there = ", ".join(f"`{space.name}`" for space in spaces)
        shown = name[: limits.MAX_NAME_CHARACTERS]
        raise InvalidRequestError(
            "UNKNOWN_SPACE", f"--space: `{shown}` is not in `{path}`; it has {there}"
        )
    return spaces.named(name)


def read_position(space: TemplateSpace, given: str | None) -> Position:
    """Return where the vectors were taken: only those of one place are compared.

    Raises:
        InvalidRequestError: the space has no such position, or several and none is
            named.
    """
    allowed = sorted(space.positions)
    if given is None and len(allowed) == 1:
        return allowed[0]
    if given not in allowed:
        told = ", ".join(f"`{each}`" for each in allowed)
        what = "name one" if given is None else f"`{given[:64]}` is none"
        raise InvalidRequestError(
            "WRONG_POSITION", f"--position: {what} of `{space.name}`: {told}"
        )
    return Position(given)


def refuse_taken(path: Path, review: Path | None, *, replace: bool) -> None:
    """Refuse to write where something is, before anything is measured.

    Raises:
        ConfigurationError: with what to do.
    """
    for each, again in ((path, replace), (review, False)):
        if each is None:
            continue
        if os.path.lexists(each) and not again:
            hint = ", or give `--replace`" if each is path else ""
            raise ConfigurationError(
                "FILE_EXISTS", f"`{each}` is there already; name another file{hint}"
            )
        if not each.parent.is_dir():
            raise ConfigurationError(
                "NO_PARENT", f"`{each}` has no folder to be in; make that first"
            )


def write_file(path: Path, text: str, *, private: bool = False) -> None:
    """Write a file as a whole or not at all.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        put_file(path, text.encode(), OWNER_ONLY if private else READABLE)
    except OSError as error:
        raise cannot_write(path, error) from error


_COLUMNS: Final = ("subject", "reference", "found_subject", "found_reference")
_TOLD: Final = ("score", "doubtful")


def review_text(pairs: Iterable["Pair"]) -> str:
    """Return pairs of people as a table, the highest score first."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*_COLUMNS, *_TOLD))
    for pair in pairs:
        table.writerow(
            (
                *(pair.probe.subject, pair.probe.reference),
                *(pair.found.subject, pair.found.reference),
                f"{pair.score:.4f}",
                "yes" if pair.is_doubtful else "no",
            )
        )
    return text.getvalue()


def read_same(path: Path) -> dict[str, str]:
    """Return who is the same person as whom, each by the name of one of them.

    Raises:
        ConfigurationError: it is no such table as `--review` writes.
    """
    names: dict[str, str] = {}

    def first(name: str) -> str:
        while name in names:
            name = names[name]
        return name

    try:
        rows = list(csv.reader(read_text(path).splitlines(), strict=True))
    except csv.Error as error:
        raise _no_table(path) from error
    width = len(_COLUMNS)
    if not rows or tuple(rows[0][:width]) != _COLUMNS or min(map(len, rows)) < width:
        raise _no_table(path)
    for one_name, _, other_name, *_ in rows[1:]:
        one, other = first(one_name), first(other_name)
        if one != other:
            names[other] = one
    return {name: first(name) for name in names}


def _no_table(path: Path) -> ConfigurationError:
    """Return the error of a file that `--review` did not write."""
    return ConfigurationError(
        "NOT_A_REVIEW",
        f"`{path}` must be a table as `--review` writes it: CSV that begins with"
        f" `{','.join(_COLUMNS)}`",
    )
