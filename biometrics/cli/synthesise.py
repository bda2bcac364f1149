"""`biometrics synthesise`: galleries with known truth, as files that `enrol` reads."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer
from numpy.typing import NDArray

from biometrics import limits
from biometrics.cli.output import counted, print_json, print_line, print_table
from biometrics.cli.score_picture import draw_scores
from biometrics.cli.session import JsonOption
from biometrics.errors import Fault, InvalidRequestError
from biometrics.members import Member
from biometrics.templates import Position
from enrolment.formats.arrays import read_npz
from enrolment.population import PRESETS, Population
from enrolment.scenario import NOWHERE, Region, Scenario, deal
from enrolment.scenario_files import Form, write_region
from enrolment.scores import Scores, pair_scores

REAL_VARIABLE: Final = "BIOMETRICS_DATA"
_REAL: Final = "faces-dlib128/gallery.npz"
_BLOCK_ROWS: Final = 4096


def synthesise(  # noqa: PLR0913 - the options of the command
    folder: Annotated[
        Path, typer.Argument(help="New folder for the files.", metavar="FOLDER")
    ],
    *,
    subjects: Annotated[
        int, typer.Option(help="Number of people.", min=1, metavar="N")
    ] = 1000,
    samples: Annotated[
        int, typer.Option(help="Captures of each; 3 or more.", metavar="N")
    ] = 4,
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same bytes.", min=0)
    ] = 0,
    member: Annotated[
        list[str] | None,
        typer.Option(help="Who enrols; repeat for more.", metavar="CODE"),
    ] = None,
    position: Annotated[
        list[str] | None,
        typer.Option(
            help="Such as `right-thumb`, of every capture; repeat for more of one"
            " modality.",
            metavar="WORD",
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help=f"What scores are like: {', '.join(PRESETS)}.", metavar="WORD"
        ),
    ] = next(iter(PRESETS)),
    siblings: Annotated[
        float, typer.Option(help="Share of people with a sibling.", metavar="SHARE")
    ] = 0.02,
    form: Annotated[Form, typer.Option(help="Of the galleries.")] = Form.MANIFEST,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Picture of mated and non-mated scores; needs the extra `pictures`."
            f" Where {REAL_VARIABLE} names a folder with `{_REAL}`, real faces stand"
            " beside them.",
            metavar="FILE.png",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make galleries whose truth is known, and write them as `enrol` reads them.

    A file for each member, `probes.npz` to search with, `truth.csv` with all that is
    known of every row, and `made-by.json` with every number that it was made by. Nobody
    in them is real.
    """
    scenario = Scenario(
        population=replace(
            _preset(preset),
            seed=seed,
            subjects=subjects,
            samples=samples,
            siblings=siblings,
        ),
        members=tuple(map(Member, dict.fromkeys(member or ("XAA", "XBB")))),
        positions=_positions(position),
    )
    _check_size(scenario)
    region = deal(scenario)
    galleries = write_region(region, folder, form)
    if plot is not None:
        draw_scores(plot, _scores(region))
    counts = {
        each.code: sum(capture.member == each.code for capture in region.captures)
        for each in scenario.members
    }
    probes = sum(capture.member == NOWHERE for capture in region.captures)
    if as_json:
        files = [str(path) for path in galleries]
        print_json({"galleries": files, "records": counts, "probes": probes})
        return
    print_table(
        ("member", "records", "file"),
        [
            (code, count, str(path))
            for (code, count), path in zip(counts.items(), galleries, strict=False)
        ],
    )
    print_line(f"{counted(probes, 'probe')} in {folder / 'probes.npz'}")
    print_line(f"the truth in {folder / 'truth.csv'}")


def _preset(name: str) -> Population:
    """Return a population with the numbers of a preset."""
    if name not in PRESETS:
        told = ", ".join(f"`{each}`" for each in PRESETS)
        raise InvalidRequestError("UNKNOWN_PRESET", f"--preset: must be one of {told}")
    return PRESETS[name]


def _positions(words: list[str] | None) -> tuple[Position, ...]:
    """Return the positions of options."""
    known = {position.value: position for position in Position}
    faults = [
        Fault(
            field="--position",
            reason="WRONG_POSITION",
            message=f"`{word[: limits.MAX_NAME_CHARACTERS]}` is no position; there are"
            f" {', '.join(known)}",
        )
        for word in words or ()
        if word not in known
    ]
    if faults:
        raise InvalidRequestError.of(faults)
    return tuple(known[word] for word in words or (Position.FACE.value,))


def _check_size(scenario: Scenario) -> None:
    """Refuse what would take more memory than it may."""
    made = scenario.population
    size = made.subjects * made.samples * made.dimension * len(scenario.positions)
    most = limits.MAX_SYNTHETIC_COMPONENTS
    if size > most:
        raise InvalidRequestError(
            "TOO_LARGE",
            f"{size:,} numbers where {most:,} may be held at once; make several with"
            " other seeds and fewer `--subjects`",
        )


def _scores(region: Region) -> dict[str, Scores]:
    """Return what to draw: scores of the first position, and real ones beside."""
    population = region.scenario.population
    random = np.random.default_rng(population.seed)
    made = region.embedding[0].reshape(-1, population.dimension)
    subject = np.repeat(np.arange(population.subjects), population.samples)
    panels = {"synthetic": pair_scores(made, subject, random)}
    if real := _real():
        panels["real faces, dlib 128-d"] = pair_scores(*real, random)
    return panels


def _real() -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """Return real embeddings and subjects, where there are any."""
    folder = os.environ.get(REAL_VARIABLE)
    path = Path(folder or "") / _REAL
    if not folder or not path.is_file():
        return None
    file = read_npz(path, texts=("subject",))
    rows = [block for _, block in file.rows(_BLOCK_ROWS)]
    _, subject = np.unique(file.texts("subject"), return_inverse=True)
    return np.concatenate(rows), subject
