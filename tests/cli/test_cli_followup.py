"""`biometrics followup`: what the persons of two members type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from world import World, agreement, face, permit, record, unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Told

FACTS = b"what is known of the person"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange where XCC gets references of XAA's."""
    with World(
        tmp_path_factory.mktemp("followup"),
        agreements={"XAA": agreement("XAA", permit("XCC", "reference"))},
    ) as made:
        made.enroller("XAA").enrol(record("case-42", unit(1)))
        yield made


class Desks:
    """What each side types; commands run in a folder of the test's own."""

    def __init__(self, world: World, run: Callable[..., Told]) -> None:
        """Type by `run`."""
        self.world = world
        self.run = run
        self.signers = ("--signers", world.root / "signers.toml")

    def key(self, name: str) -> tuple[str, Path]:
        """Return the option of a person's key."""
        return "--key", self.world.root / f"signing/{name}.key"

    def type(self, member: str, role: str, *arguments: object) -> Told:
        """Run a command of the group."""
        profile = self.world.profile_file(member, role)
        return self.run("--profile", profile, "followup", *arguments)

    def reference(self) -> str:
        """Match, and return the reference."""
        client = self.world.client("XCC")
        return client.match(face(unit(1)), purpose="border-check").holders[0].reference

    def ask(self, reference: str, ticket: str, *more: object) -> Told:
        """Ask about a reference."""
        words = ("--purpose", "border-check", "--modality", "face")
        return self.type(
            *("XCC", "client", "request", reference, "--holder", "XAA", *words),
            *("--basis", "article 12", *self.key("XCC-first"), "--ticket", ticket),
            *more,
        )

    def named(self) -> str:
        """Return what names the newest that waits."""
        told = self.type("XAA", "officer", "list", "--received", "--json")
        found: str = told.document["follow_ups"][-1]["follow_up"]
        return found

    def answer(self, named: str) -> None:
        """Confirm and release."""
        told = self.type(
            "XAA", "officer", "confirm", named, *self.key("XAA-first"), *self.signers
        )
        assert told.code == 0, told.err
        Path("facts").write_bytes(FACTS)
        told = self.type(
            *("XAA", "enroller", "release", named, "facts"),
            *(*self.key("XAA-second"), *self.signers),
        )
        assert told.code == 0, told.err


@pytest.fixture
def desks(world: World, run: Callable[..., Told]) -> Desks:
    """Return both sides."""
    return Desks(world, run)


def test_a_match_is_followed_up_by_hand(desks: Desks):
    """Each side sees what it needs, and the payload is read once."""
    asked = desks.ask(desks.reference(), "case.ticket")
    assert asked.code == 0, asked.err
    assert Path("case.ticket").stat().st_mode & 0o777 == 0o600
    shown = desks.type("XAA", "officer", "list", "--received", *desks.signers).out
    for word in ("XCC", "article 12", "first office of XCC", "case-42", "requested"):
        assert word in shown
    unchecked = desks.type("XAA", "officer", "list", "--received").out
    assert "(not checked)" in unchecked
    desks.answer(desks.named()[:12])
    assert "requested" in desks.type("XCC", "client", "list").out
    read = ("read", "case.ticket", *desks.signers, "--to", "facts.read")
    told = desks.type("XCC", "client", *read)
    assert told.code == 0, told.err
    assert "confirmed by first office of XAA" in told.out
    assert Path("facts.read").read_bytes() == FACTS
    assert not Path("case.ticket.sealed").exists()
    assert desks.type("XCC", "client", *read).code == 2  # the file is there
    told = desks.type("XCC", "client", *read[:-1], "again")
    assert (told.code, Path("again").exists()) == (1, False)
    listed = desks.type("XCC", "client", "list", "--json").document["follow_ups"]
    assert listed[0]["state"] == "read"


def test_what_does_not_open_is_kept_until_it_does(desks: Desks):
    """It was deleted at the exchange: a stale list of signers must not lose it."""
    desks.ask(desks.reference(), "case.ticket", "--json")
    desks.answer(desks.named())
    Path("stale.toml").write_text("version = 1\n")
    told = desks.type(
        *("XCC", "client", "read", "case.ticket", "--signers", "stale.toml"),
        *("--to", "facts.read"),
    )
    assert told.code == 3
    assert "kept in case.ticket.sealed" in told.err
    assert not Path("facts.read").exists()
    told = desks.type(
        *("XCC", "client", "read", "case.ticket", *desks.signers),
        *("--to", "facts.read", "--json"),
    )
    assert told.document["released_by"].startswith("second office of XAA")
    assert Path("facts.read").read_bytes() == FACTS


def test_a_refusal_reaches_the_requester(desks: Desks):
    """In a word of a few."""
    desks.ask(desks.reference(), "case.ticket")
    named = desks.named()
    refuse = ("refuse", named, "--reason")
    assert desks.type("XAA", "officer", *refuse, "because").code == 2
    told = desks.type("XAA", "officer", *refuse, "nothing-to-give", "--json")
    assert told.document == {"follow_up": named, "refused": "nothing-to-give"}
    assert "nothing-to-give" in desks.type("XCC", "client", "list").out
    told = desks.type("XAA", "officer", *refuse, "other")
    assert (told.code, "NO_SUCH" in told.err) == (1, False)


def test_a_reference_that_is_refused_leaves_no_ticket(desks: Desks):
    """There is nothing that it would open."""
    told = desks.ask("00" * 16, "case.ticket")
    assert told.code == 1
    assert "no reference of this kind" in told.err
    assert not Path("case.ticket").exists()
    assert desks.ask("not hexadecimal", "case.ticket").code == 2
    assert not Path("case.ticket").exists()


def test_a_request_that_nobody_listed_has_signed_is_not_confirmed(desks: Desks):
    """The officer sees it in the list, and cannot confirm it."""
    words = ("--purpose", "border-check", "--modality", "face", "--basis", "article 12")
    told = desks.type(
        *("XCC", "client", "request", desks.reference(), "--holder", "XAA", *words),
        *(*desks.key("XBB-first"), "--ticket", "case.ticket"),
    )
    assert told.code == 0, told.err
    shown = desks.type("XAA", "officer", "list", "--received", *desks.signers).out
    assert "NOBODY WHO IS LISTED" in shown
    confirm = ("confirm", desks.named(), *desks.key("XAA-first"), *desks.signers)
    told = desks.type("XAA", "officer", *confirm)
    assert told.code == 3
    assert "not proven" in told.err


def test_who_signs_too_early_or_by_anothers_key_is_told(desks: Desks):
    """Nothing of it is the other member's fault."""
    desks.ask(desks.reference(), "early.ticket")
    named = desks.named()
    Path("early").write_bytes(FACTS)
    told = desks.type(
        *("XAA", "enroller", "release", named, "early"),
        *(*desks.key("XAA-second"), *desks.signers),
    )
    assert told.code == 3
    assert "nobody has confirmed it yet; an officer does that first" in told.err
    told = desks.type(
        "XAA", "officer", "confirm", named, *desks.key("XCC-first"), *desks.signers
    )
    assert told.code == 3
    assert "your signing key is not one that your list of signers has" in told.err


def test_files_and_names_that_are_wrong_are_told(desks: Desks):
    """One clear error each."""
    Path("none").write_text("none\n")
    Path("none").chmod(0o600)
    told = desks.type(
        "XCC", "client", "read", "none", *desks.signers, "--to", "facts.read"
    )
    assert (told.code, "is no ticket" in told.err) == (2, True)
    told = desks.type("XAA", "officer", "refuse", "", "--reason", "other")
    assert told.code == 1
    desks.ask(desks.reference(), "one.ticket")
    again = desks.ask(desks.reference(), "one.ticket")
    assert (again.code, "not overwritten" in again.err) == (2, True)
