"""The wheel follows from the sources alone: whoever builds it can compare its bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = (
    *("biometrics", "enrolment", "matcher"),
    *("pyproject.toml", "README.md", "LICENSE", ".gitignore"),
)


def copy(to: Path, umask: int, seconds: int) -> None:
    """Copy the sources, as another person would have them since another moment."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            skip = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(source, to / name, ignore=skip)
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, to / name)
    for path in sorted(to.rglob("*")):
        path.chmod((0o777 if path.is_dir() else path.stat().st_mode & 0o755) & ~umask)
        os.utime(path, (seconds, seconds))


def build(folder: Path, umask: int) -> Path:
    """Build the wheel in a folder; return it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"},
        umask=umask,
        check=True,
        capture_output=True,
    )
    (wheel,) = (folder / "dist").iterdir()
    return wheel


def test_two_builds_are_equal_byte_for_byte(tmp_path: Path):
    """In other folders, by people with other habits, at other moments."""
    wheels = []
    for name, umask, seconds in (("one", 0o022, 1_500_000_000), ("a/b", 0o077, 10**9)):
        copy(tmp_path / name, umask, seconds)
        wheels.append(build(tmp_path / name, umask))
    first, second = wheels
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_the_wheel_has_what_the_exchange_needs_and_nothing_else(tmp_path: Path):
    """Migrations and weights go with it; pictures, examples and tests do not."""
    copy(tmp_path / "tree", 0o022, 1_600_000_000)
    with zipfile.ZipFile(build(tmp_path / "tree", 0o022)) as wheel:
        names = wheel.namelist()
    assert {name.partition("/")[0] for name in names} == {
        *("biometrics", "enrolment", "matcher"),
        "regional_biometrics_exchange-0.1.0.dist-info",
    }
    assert any(
        name.startswith("biometrics/store/migrations/versions/") for name in names
    )
    # Else whoever installs it gets `Any` for everything.
    assert {name for name in names if name.endswith("/py.typed")} == {
        f"{package}/py.typed" for package in ("biometrics", "enrolment", "matcher")
    }
    assert not any("examples" in name or "__pycache__" in name for name in names)
