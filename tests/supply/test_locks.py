"""What is locked is what pyproject.toml asks for, each file of it by its SHA-256."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parents[2]
LOCKS: Final = ROOT / ".lock"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: Final = PROJECT["project"]["optional-dependencies"]
PINNED: Final = re.compile(
    r"^(?P<name>[a-z0-9-]+)(\[[a-z,-]+\])?==(?P<version>\S+) \\\n"
    r"(?P<hashes>(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+)"
    r"(?P<why>(    #.*\n)+)",
    re.MULTILINE,
)
# What is asked for by one of the extras but those of benchmarks, which rivals are in.
CHECKED: Final = sorted(EXTRAS.keys() - {"bench"})
SERVED: Final = ["console", "pkcs11", "postgres", "traces"]


def text(name: str) -> str:
    """Return a lock."""
    return (LOCKS / name).read_text("utf-8")


def pins(name: str) -> dict[str, Version]:
    """Return the version of each package that a lock names."""
    return {
        each["name"]: Version(each["version"]) for each in PINNED.finditer(text(name))
    }


def asked(extras: Iterable[str]) -> list[Requirement]:
    """Return what the project asks for, with some extras."""
    lines = [*PROJECT["project"]["dependencies"]]
    for extra in extras:
        lines += EXTRAS[extra]
    return [Requirement(line) for line in lines]


def beside(name: str) -> list[Requirement]:
    """Return what is asked for beside the project."""
    lines = (LOCKS / name).read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


WANTED: Final = {
    "build.txt": [
        *map(Requirement, PROJECT["build-system"]["requires"]),
        Requirement("uv"),
    ],
    "checks.txt": [*asked(CHECKED), *beside("checks.in")],
    "server.txt": asked(SERVED),
    "sbom.txt": beside("sbom.in"),
}


@pytest.mark.parametrize("name", WANTED)
def test_every_requirement_is_locked_at_a_version_that_fits(name: str):
    """Whoever changes pyproject.toml has to run `poe lock`."""
    locked = pins(name)
    for each in WANTED[name]:
        version = locked.get(canonicalize_name(each.name))
        assert version is not None, f"run `poe lock`: {each} is not in {name}"
        assert version in each.specifier, f"run `poe lock`: {each} is at {version}"


@pytest.mark.parametrize("name", WANTED)
def test_nothing_is_locked_that_nobody_asks_for(name: str):
    """What was taken out of pyproject.toml leaves the lock; so do what it needed."""
    wanted = {canonicalize_name(each.name) for each in WANTED[name]}
    locked = {each["name"]: each["why"] for each in PINNED.finditer(text(name))}
    for package, why in locked.items():
        by = set(re.findall(r"^    #(?: via)?  *([a-z0-9-]+)", why, re.MULTILINE))
        is_direct = bool({"regional-biometrics-exchange", "-r"} & by) or "via -r" in why
        assert is_direct <= (package in wanted), f"run `poe lock`: {package} in {name}"
        needed = by - {"regional-biometrics-exchange", "-c", "-r", "via"}
        assert package in wanted or needed & locked.keys()


@pytest.mark.parametrize("name", WANTED)
def test_every_file_that_may_be_installed_has_its_hash(name: str):
    """`pip install --require-hashes` takes it; no line is of another form."""
    body = "".join(
        line for line in text(name).splitlines(keepends=True) if line[0] != "#"
    )
    assert "".join(found[0] for found in PINNED.finditer(body)) == body
    assert len(pins(name)) >= 5


@pytest.mark.parametrize("name", WANTED)
def test_a_lock_says_nothing_of_where_it_was_made(name: str):
    """No address, no folder: packages are had from wherever whoever installs says."""
    assert not re.search(
        r"https?:|file:|@|--(?!hash=)|/(?!lock|checks|sbom)", text(name)
    )


def test_the_image_runs_what_was_checked():
    """One version of each package in all locks."""
    checked = pins("checks.txt")
    for name in ("server.txt", "build.txt"):
        other = pins(name)
        assert other.keys() <= checked.keys() | {"uv"}
        assert {k: v for k, v in other.items() if checked[k] != v} == {}


def test_the_image_and_ci_install_by_the_locks_alone():
    """Each installation names a lock and asks for hashes, or is of our own wheel."""
    for path in (ROOT / "Dockerfile", ROOT / ".ci/sbom"):
        said = path.read_text().replace("\\\n", " ")
        for line in re.findall(r"pip install (.*?)(?:&&|$)", said, re.MULTILINE):
            is_locked = "--require-hashes" in line and re.search(
                r"-r \.lock/\w+\.txt", line
            )
            assert is_locked or re.search(r"--no-deps \S*\*\.whl", line)
    assert "--require-hashes -r .lock/checks.txt" in (ROOT / ".ci/run").read_text()
