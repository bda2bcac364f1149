"""The model that an operator brings is fed as its file says, or refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tiny_model import SIDE, noise, weights, write_model

from biometrics.errors import ConfigurationError, InvalidRequestError
from enrolment.extractors.choice import FACE, choose, model_choice
from enrolment.extractors.extractor import Picture
from enrolment.extractors.model_file import Eyes, read_model
from enrolment.formats.source import VectorSample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytest.importorskip("onnxruntime", reason="the extra `model` is not installed")


def extracted(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what a model makes of a picture."""
    found = model_choice(path).load().extract(Picture(pixels=pixels, per_inch=None))
    assert isinstance(found.sample, VectorSample)
    return found.sample.vector


def expected(given: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what the tests' model makes of its input's numbers in their order."""
    scaled = (given.astype(np.float32) - 127.5) * 0.0078125
    return scaled.reshape(-1) @ weights(given.size // SIDE**2)


@pytest.mark.parametrize("layout", ["channels-first", "channels-last"])
@pytest.mark.parametrize("colours", ["rgb", "bgr", "grey"])
def test_a_model_gets_what_its_file_says(tmp_path: Path, layout: str, colours: str):
    """Channels, their order and place, mean and scale, as NumPy computes them."""
    pixels = noise(3, SIDE)
    given = {
        "rgb": pixels,
        "bgr": pixels[..., ::-1],
        "grey": np.asarray(Image.fromarray(pixels).convert("L"))[..., None],
    }[colours]
    if layout == "channels-first":
        given = given.transpose(2, 0, 1)
    path = write_model(tmp_path, layout=layout, colours=colours)
    assert extracted(path, pixels) == pytest.approx(expected(given), rel=1e-3, abs=1e-3)


def test_eyes_are_brought_to_where_the_model_expects_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A picture twice as large, moved and turned a quarter, gives the same vector."""
    dlib = pytest.importorskip("dlib", reason="the extra `face` is not installed")
    assert dlib
    from enrolment.extractors import face  # noqa: PLC0415 - an extra

    small = np.asarray(Image.fromarray(noise(4, 4)).resize((SIDE, SIDE), 1))
    large = np.asarray(Image.fromarray(small).resize((2 * SIDE, 2 * SIDE), 0))
    around = np.zeros((3 * SIDE, 3 * SIDE, 3), np.uint8)
    around[5 : 5 + 2 * SIDE, 7 : 7 + 2 * SIDE] = np.rot90(large)

    class Finder:
        def box(self, _: object) -> tuple[int, int, int, int]:
            return (7, 5, 7 + 2 * SIDE, 5 + 2 * SIDE)

        def eyes(self, *_: object) -> NDArray[np.float64]:
            # (4, 6) and (12, 6) of 16, doubled, turned counter-clockwise and moved.
            return np.array([(7 + 12, 5 + 32 - 8), (7 + 12, 5 + 32 - 24)], np.float64)

    monkeypatch.setattr(face, "FaceFinder", Finder)
    eyes = "[input.eyes]\nleft = [4.0, 6.0]\nright = [12.0, 6.0]\n"
    path = write_model(tmp_path, more=eyes)
    plain = expected(small.transpose(2, 0, 1))
    found = extracted(path, around)
    cosine = plain @ found / np.linalg.norm(plain) / np.linalg.norm(found)
    assert cosine > 0.99


def test_a_file_is_checked_as_a_whole(tmp_path: Path):
    """Every fault at once, with its key."""
    path = write_model(tmp_path, more="[input.eyes]\nleft = [9, 9]\nright = [2, 9]\n")
    text = path.read_text().replace('"rgb"', '"infrared"').replace("[127.5]", "[]")
    path.write_text(text.replace("dimension = 16", "dimension = 1"))
    with pytest.raises(ConfigurationError) as caught:
        read_model(path)
    told = {fault.field.rpartition(": ")[2] for fault in caught.value.faults}
    assert told == {"dimension", "input.colours", "input.mean", "input.eyes"}


def test_mean_and_scale_fit_the_channels(tmp_path: Path):
    """One for all, or one for each."""
    path = write_model(tmp_path)
    path.write_text(path.read_text().replace("[127.5]", "[1, 2]"))
    with pytest.raises(ConfigurationError, match="one number, or one a channel"):
        read_model(path)


def test_another_model_under_the_same_name_is_refused(tmp_path: Path):
    """The digest is told, for whoever has changed the model on purpose."""
    path = write_model(tmp_path)
    (tmp_path / "tiny.onnx").write_bytes(b"another")
    with pytest.raises(ConfigurationError, match=r"its `sha256` is `[0-9a-f]{64}`"):
        model_choice(path)
    (tmp_path / "tiny.onnx").unlink()
    with pytest.raises(ConfigurationError, match="cannot be read: no such file"):
        model_choice(path)


def test_a_model_that_is_none_or_another_than_told_is_refused(tmp_path: Path):
    """When it is loaded, before any picture."""
    with pytest.raises(ConfigurationError, match="where one vector of 32 components"):
        model_choice(write_model(tmp_path, dimension=32)).load()
    path = write_model(tmp_path)
    path.write_text(path.read_text().replace("width = 16", "width = 32"))
    with pytest.raises(ConfigurationError, match="takes no input as its file says"):
        model_choice(path).load()


def test_templates_come_only_from_what_the_space_names(tmp_path: Path):
    """Extractor and version both."""
    path = write_model(tmp_path)
    assert choose("test", "1", path) == model_choice(path)
    for extractor, version in (("test", "2"), ("other", "1")):
        with pytest.raises(InvalidRequestError) as caught:
            choose(extractor, version, path)
        assert caught.value.reason == "ANOTHER_EXTRACTOR"
    with pytest.raises(InvalidRequestError) as caught:
        choose("test", "1", None)
    assert caught.value.reason == "UNKNOWN_EXTRACTOR"


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    """With the command that installs it."""
    monkeypatch.setattr("enrolment.extractors.choice.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"exchange\[face\]"):
        choose(FACE, "1", None)


def test_eyes_must_determine_a_similarity():
    """The left one lies to the left in the picture."""
    with pytest.raises(ValueError, match="to the left of"):
        Eyes(left=[3.0, 1.0], right=[3.0, 9.0])
