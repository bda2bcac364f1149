"""On real faces the exchange decides as their vectors do, centred by the space."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.client import Outcome, Probe, Record, Template
from enrolment.formats.arrays import read_npz
from tests.world import World, agreement, calibration, permit

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPACE = "face-dlib-128"
SETTINGS = """
[[space]]
name = "face-dlib-128"
modality = "face"
extractor = "dlib-face-recognition-resnet"
extractor_version = "1"
positions = ["face"]
dimension = 128
centre_file = "centre.npy"
"""
# Three points of the curve: of each class of error rate, and its holder.
POINTS = {"XAA": ("1e-2", 0.35), "XBB": ("1e-3", 0.55), "XDD": ("1e-4", 0.75)}


@pytest.fixture(scope="module")
def faces() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return vectors of twenty people, ten each, and whose each is."""
    path = Path(os.environ.get("BIOMETRICS_DATA", "")) / "faces-dlib128/gallery.npz"
    if not path.is_file():
        pytest.skip("`BIOMETRICS_DATA` names no folder of development data")
    file = read_npz(path, texts=("subject",))
    vectors = np.concatenate([block for _, block in file.rows(512)])
    subjects = np.array(file.texts("subject"), np.int64)
    return vectors.astype(np.float32), subjects


def test_the_curve_is_the_one_of_the_vectors(
    faces: tuple[NDArray[np.float32], NDArray[np.int64]], tmp_path: Path
):
    """Half of the people enrolled with one picture each; all other pictures search."""
    vectors, subjects = faces
    people = np.unique(subjects)
    first = np.array([np.flatnonzero(subjects == each)[0] for each in people])
    enrolled = first[: len(people) // 2]
    probes = np.setdiff1d(np.arange(len(vectors)), first)[::3]
    centre = vectors.mean(axis=0)
    centred = vectors.astype(np.float64) - centre
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    best = (centred[probes] @ centred[enrolled].T).max(axis=1)

    agreements = {
        holder: agreement(holder, permit("XCC", "holder") + f'fpir = "{fpir}"\n')
        for holder, (fpir, _) in POINTS.items()
    }
    cosines = [cosine for _, cosine in POINTS.values()]
    world = World(
        tmp_path,
        agreements=agreements,
        calibrations={SPACE: calibration(SPACE, *cosines)},
    )
    spaces = world.root / "spaces.toml"
    spaces.write_text(spaces.read_text() + SETTINGS)
    np.save(world.root / "centre.npy", centre)

    def template(row: int) -> Template:
        return Template(space=SPACE, position="face", vector=vectors[row])

    with world:
        for holder in POINTS:
            for row in enrolled:
                record = Record(reference=str(row), templates=(template(row),))
                world.enroller(holder).enrol(record)
        found = []
        for row in probes:
            answer = world.client("XCC").match(
                Probe(template=template(row)), purpose="border-check"
            )
            by = {each.holder: each.outcome for each in answer.holders}
            found.append([by[holder] is Outcome.MATCH for holder in POINTS])
    told = best[:, None] >= np.array(cosines)[None]
    assert np.array_equal(np.array(found), told)
    # The points differ, and errors of both kinds are among them.
    is_mated = np.isin(subjects[probes], people[: len(people) // 2])
    misses = 1 - told[is_mated].mean(axis=0)
    assert misses[0] < misses[1] < misses[2]
    assert told[~is_mated].any()
