"""A synthetic region as files: galleries that `enrol` reads, and the truth beside."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from enum import StrEnum
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from biometrics.errors import ConfigurationError
from biometrics.files import cannot_write
from enrolment.formats.arrays import write_npz
from enrolment.population import Kind
from enrolment.scenario import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from enrolment.scenario import Capture, Region, Scenario

PROBES: Final = "probes"
_TRUTH: Final = (
    *("file", "row", "reference", "member", "subject", "sample", "position"),
    *("true_position", "quality", "failed", "kind", "resembles"),
)


class Form(StrEnum):
    """What galleries are written as."""

    NPZ = "npz"  # one position only: it has no place for another
    MANIFEST = "manifest"  # CSV and `.npy`: a record has all of its positions
    PARQUET = "parquet"  # a record for each template; needs the extra `tables`


def write_region(region: Region, folder: Path, form: Form) -> list[Path]:
    """Write a file for each member, one of probes, the truth, and what it was made by.

    Args:
        region: what to write.
        folder: new, or empty.
        form: of the galleries; probes are a NumPy archive.

    Returns:
        The galleries.

    Raises:
        ConfigurationError: the folder has something in it, or cannot be written to; or
            the form does not fit or needs an extra.
    """
    if form is Form.NPZ and len(region.scenario.positions) > 1:
        raise ConfigurationError(
            "FORM_HAS_NO_POSITION",
            "an `.npz` has no place for positions; write several as `manifest` or"
            " `parquet`",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError(
                "FOLDER_NOT_EMPTY",
                f"`{folder}` has something in it, which is kept; name a new folder",
            )
        return _write(region, folder, form)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _write(region: Region, folder: Path, form: Form) -> list[Path]:
    """Write all files."""
    galleries = []
    with (folder / "truth.csv").open("w", encoding="utf-8", newline="") as file:
        truth = csv.writer(file)
        truth.writerow(_TRUTH)
        for member, group in groupby(region.captures, key=lambda each: each.member):
            rows = _Rows(region, list(group))
            if member == NOWHERE:
                path = folder / f"{PROBES}.npz"
                write_npz(path, rows.vectors(), rows.references(each=True))
            else:
                path = _write_gallery(rows, folder, member, form)
                galleries.append(path)
            truth.writerows(rows.truth(path.name))
    made_by = json.dumps(_document(region.scenario), indent=2) + "\n"
    (folder / "made-by.json").write_text(made_by, "utf-8")
    return galleries


class _Rows:
    """The templates of some captures, one after the other."""

    def __init__(self, region: Region, captures: Sequence[Capture]) -> None:
        """Take each capture's templates in the order of the scenario's positions."""
        self._region = region
        self._positions = region.scenario.positions
        self._of = [
            (capture, place)
            for capture in captures
            for place in range(len(self._positions))
        ]
        subject = [capture.subject for capture, _ in self._of]
        sample = [capture.sample for capture, _ in self._of]
        places = [place for _, place in self._of]
        self._where = (np.array(places), np.array(subject), np.array(sample))

    def vectors(self) -> NDArray[np.float32]:
        """Return (n, dimension)."""
        found: NDArray[np.float32] = self._region.embedding[self._where]
        return found

    def qualities(self) -> list[int]:
        """Return the quality of each."""
        return [int(each) for each in self._region.quality[self._where]]

    def positions(self) -> list[str]:
        """Return the position that is recorded of each."""
        return [capture.recorded[place].value for capture, place in self._of]

    def references(self, *, each: bool) -> list[str]:
        """Return the reference of each; with `each`, none is there twice."""
        if not each or len(self._positions) == 1:
            return [capture.reference for capture, _ in self._of]
        return [
            f"{capture.reference}-{self._positions[place]}"
            for capture, place in self._of
        ]

    def truth(self, file: str) -> list[list[Any]]:
        """Return what is known of each."""
        rows: list[list[Any]] = []
        for row, (capture, place) in enumerate(self._of):
            at = (place, capture.subject, capture.sample)
            relative = self._region.relative(place, capture.subject)
            rows.append(
                [
                    file,
                    row,
                    capture.reference,
                    capture.member,
                    capture.subject,
                    capture.sample,
                    capture.recorded[place].value,
                    self._positions[place].value,
                    int(self._region.quality[at]),
                    int(self._region.failed[at]),
                    Kind(int(self._region.kind[at[:2]])).name.lower().replace("_", "-"),
                    "" if relative is None else relative,
                ]
            )
        return rows


def _write_gallery(rows: _Rows, folder: Path, member: str, form: Form) -> Path:
    """Write what one member has enrolled."""
    if form is Form.NPZ:
        path = folder / f"{member}.npz"
        write_npz(path, rows.vectors(), rows.references(each=False))
    elif form is Form.MANIFEST:
        path = folder / f"{member}.csv"
        np.save(folder / f"{member}.npy", rows.vectors())
        with path.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(("reference", "file", "row", "position", "quality"))
            said = (rows.references(each=False), rows.positions(), rows.qualities())
            for row, (name, position, quality) in enumerate(zip(*said, strict=True)):
                lines.writerow((name, f"{member}.npy", row, position, quality))
    else:
        path = folder / f"{member}.parquet"
        _write_parquet(rows, path)
    return path


def _write_parquet(rows: _Rows, path: Path) -> None:
    """Write a table.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    try:
        from enrolment.formats.tables import write_table  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError(
            "EXTRA_MISSING",
            "tables need pyarrow; install it with `pip install"
            " 'regional-biometrics-exchange[tables]'`",
        ) from error
    write_table(
        path,
        rows.vectors(),
        reference=rows.references(each=True),
        position=rows.positions(),
        quality=rows.qualities(),
    )


def _document(scenario: Scenario) -> dict[str, object]:
    """Return what a region was made by, to make it again."""
    return {
        **asdict(scenario),
        "members": [member.code for member in scenario.members],
        "positions": [position.value for position in scenario.positions],
    }
