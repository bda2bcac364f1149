"""Pictures are extracted in processes: in order, and none stops the others."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from finger import small_record
from fragile import DIE, HANG, RAISE, REFUSE, SLOW, FragileChoice
from PIL import Image
from tiny_model import encoded

from biometrics import limits
from biometrics.clock import UTC
from biometrics.errors import ConfigurationError
from enrolment.bulk import Read
from enrolment.extractors.extractor import Extracted, Picture
from enrolment.extractors.preview import draw_preview
from enrolment.extractors.sheet import make_sheet
from enrolment.extractors.stage import Extraction, _template
from enrolment.extractors.workers import Workers
from enrolment.extractors.written import TemplateFolder
from enrolment.formats.finger import FingerView
from enrolment.formats.finger_writing import write_minutiae
from enrolment.formats.minutiae import read_minutiae
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found, PictureSample, Unreadable, VectorSample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enrolment.extractors.choice import Choice

FRAGILE = cast("Choice", FragileChoice())


def picture(red: int, **said: object) -> PictureSample:
    """Return a picture of one red."""
    pixels = np.full((40, 40, 3), red, np.uint8)
    return PictureSample(data=encoded(pixels), **said)  # type: ignore[arg-type]


def read(number: int, *samples: PictureSample | VectorSample) -> Read:
    """Return a record as it comes from a file."""
    found = Found(number=number, reference=f"r-{number}", samples=samples)
    return Read(file=Path("f"), item=found, bytes_read=number)


@pytest.fixture
def extraction() -> Iterator[Extraction]:
    """Two processes with the tests' extractor."""
    with Extraction(lambda: FRAGILE, 2, sheet=True) as extraction:
        yield extraction


def test_records_keep_their_order_and_none_stops_the_others(
    extraction: Extraction, monkeypatch: pytest.MonkeyPatch
):
    """Whatever a picture does to the process that it is extracted in."""
    monkeypatch.setattr(limits, "EXTRACTION_SECONDS", 4.0)
    plain = VectorSample(vector=np.ones(16, np.float32))
    given = [
        read(0, picture(SLOW)),
        read(1, picture(1)),
        read(2, plain),
        read(3, picture(DIE)),
        read(4, picture(REFUSE), picture(4), picture(RAISE)),
        read(5, picture(5, position="face", quality=7, space="s"), plain),
        read(6, PictureSample(data=b"no picture")),
        read(7, picture(HANG)),
        Read(file=Path("f"), item=Unreadable(number=8, faults=()), bytes_read=8),
        read(9, picture(9)),
    ]
    done = list(extraction(iter(given)))
    assert [each.bytes_read for each in done] == [*range(9), 9]
    told = {
        each.item.number: [(f.field, f.reason) for f in each.item.faults]
        for each in done
        if isinstance(each.item, Unreadable)
    }
    assert told == {
        3: [("templates[0]", "EXTRACTION_ENDED")],
        4: [("templates[0]", "NO_FACE"), ("templates[2]", "NOT_EXTRACTED")],
        6: [("templates[0]", "NOT_A_PICTURE")],
        7: [("templates[0]", "EXTRACTION_ENDED")],
        8: [],
    }
    found = {e.item.number: e.item for e in done if isinstance(e.item, Found)}
    assert set(found) == {0, 1, 2, 5, 9}
    first, second = found[5].samples
    assert isinstance(first, VectorSample)
    assert (first.space, first.position, first.quality) == ("s", "face", 7)
    assert (first.vector == 5).all()
    assert second is plain
    assert extraction.pictures == 10
    shown = [refused for _, _, refused in extraction.shown]
    assert shown.count("") == 5
    sheet = Image.open(io.BytesIO(make_sheet(extraction.shown)))
    assert sheet.width > sheet.height > 300


def test_no_process_is_started_where_there_is_no_picture():
    """And the extractor is not asked for: it may not be installed."""

    def choose() -> Choice:
        raise AssertionError("there is no picture")

    given = [read(0, VectorSample(vector=np.ones(16, np.float32)))]
    with Extraction(choose, 2) as extraction:
        assert list(extraction(iter(given))) == given


@pytest.mark.parametrize(
    ("broken", "told"),
    [("dies", "ended while it started"), ("no weights", "RuntimeError: no weights")],
)
def test_an_extractor_that_cannot_be_loaded_is_an_error(broken: str, told: str):
    """Of the whole load, since it would refuse every picture."""
    choice = cast("Choice", FragileChoice(broken))
    with (
        Extraction(lambda: choice, 1) as extraction,
        pytest.raises(ConfigurationError, match=told),
    ):
        list(extraction(iter([read(0, picture(1))])))


def test_leaving_ends_the_processes():
    """Also in the middle of a picture that would take a minute."""
    with Workers(FRAGILE, 1) as workers:
        first = workers.submit(picture(1).data, preview=False).result()
        assert first.extracted is not None
        workers.submit(picture(HANG).data, preview=False)
        process = workers._all[0]._process
        assert process is not None
    assert not process.is_alive()
    assert process.exitcode == -9


def test_minutiae_take_position_and_quality_from_a_manifest():
    """Where it says them; else the extractor's quality stands."""
    (view,) = small_record(2005, 1).views
    for said, position, quality in (
        (picture(1, position="left-thumb", quality=3), "left-thumb", 3),
        (picture(1), None, view.quality),
    ):
        made = _template(Extracted(sample=view), said)
        assert isinstance(made, FingerView)
        assert (made.position, made.quality) == (position, quality)


def test_a_preview_shows_boxes_and_minutiae():
    """Where the picture was of one colour, others are drawn."""
    grey = Picture(pixels=np.full((600, 600, 3), 128, np.uint8), per_inch=None)
    vector = VectorSample(vector=np.ones(16, np.float32))
    plain = draw_preview(grey, None)
    boxed = draw_preview(grey, Extracted(sample=vector, box=(100, 100, 300, 300)))
    (view,) = small_record(2005, 1).views
    print_ = Picture(pixels=np.full((500, 400, 3), 128, np.uint8), per_inch=None)
    dotted = draw_preview(print_, Extracted(sample=view))
    assert (plain == 128).all()
    # Within the line, at the scale of the preview.
    assert tuple(boxed[70, 47]) == (0, 192, 64)
    assert (dotted != 128).any()


def test_what_is_extracted_is_read_back(tmp_path: Path):
    """Vectors and minutiae, with all that was said of them; by nobody else."""
    view = replace(small_record(2005, 1).views[0], extended_bytes=0)
    until = dt.datetime(2030, 1, 1, tzinfo=UTC)
    folder = tmp_path / "templates"
    vectors = [
        VectorSample(
            vector=np.arange(16, dtype=np.float32) + number,
            space="s",
            position="face",
            quality=number,
        )
        for number in range(3)
    ]
    given = [
        Found(number=0, reference="a, 1", samples=(vectors[0],), expires_at=until),
        Found(number=1, reference="b", samples=(view, vectors[1])),
        Found(number=2, reference="c", samples=(vectors[2],)),
    ]
    with TemplateFolder(folder) as written:
        for found in given[:2]:
            written.add(found)
        written._flush()
        written.add(given[2])
        assert written.total is not None
        assert written.total / written.vectors == pytest.approx(np.arange(16) + 1)
    (block,) = open_source(folder / "templates.csv").blocks()
    assert [item.reference for item in block.items] == ["a, 1", "b", "c"]
    for item, found in zip(block.items, given, strict=True):
        assert isinstance(item, Found)
        assert item.expires_at == found.expires_at
        for got, sample in zip(item.samples, found.samples, strict=True):
            assert got == sample
            if isinstance(got, VectorSample) and isinstance(sample, VectorSample):
                assert np.array_equal(got.vector, sample.vector)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    with pytest.raises(ConfigurationError, match="cannot be made: file exists"):
        TemplateFolder(folder)


def test_minutiae_are_written_as_the_reader_has_them():
    """By the standard's edition of 2005, without extended data."""
    record = small_record(2005, 1)
    (view,) = read_minutiae(write_minutiae(record.views[0])).views
    assert view.minutiae == record.views[0].minutiae
    assert (view.width, view.position_code) == (
        record.views[0].width,
        record.views[0].position_code,
    )
