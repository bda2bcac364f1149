"""What two members sign and seal: nobody between them can change or read it."""

from __future__ import annotations

import hashlib
from itertools import count
from typing import TYPE_CHECKING

import pytest
from signing.signed import FIRST, LIST, OTHER, SECOND, SIGNERS, STRANGER, XAA, XBB, key

from biometrics import limits
from biometrics.errors import (
    ExchangeError,
    InvalidRequestError,
    PreconditionError,
    UnauthenticatedError,
)
from biometrics.sealing import SealingKey, seal_to
from biometrics.signing import (
    FollowUpRequest,
    FollowUpTicket,
    Note,
    SignedRequest,
    SigningKey,
    confirmation_note,
    is_note_of,
    parse_signers,
    read_confirmation,
    refuse_other_confirmation,
    seal_payload,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.members import Member

REFERENCE = b"r" * limits.REFERENCE_BYTES
CONTENT = b"what is known of the person"
_SEEDS = count()


def random_bytes(size: int) -> bytes:
    """Return other bytes at each call."""
    return hashlib.shake_128(str(next(_SEEDS)).encode()).digest(size)


def ticket(
    signing: SigningKey = OTHER,
    *,
    requester: Member = XBB,
    holder: Member = XAA,
    reference: bytes = REFERENCE,
    basis: str = "article 12",
) -> FollowUpTicket:
    """Return a request of XBB's to XAA."""
    return FollowUpTicket.make(
        requester=requester,
        holder=holder,
        reference=reference,
        purpose="visa",
        modality="face",
        basis=basis,
        key=signing,
        random_bytes=random_bytes,
    )


TICKET = ticket()
ASKED = TICKET.signed
CONFIRMED = confirmation_note(ASKED, FIRST, SIGNERS)
SEALED = seal_payload(ASKED, CONFIRMED, CONTENT, SECOND, SIGNERS)


def reason(act: Callable[[], object]) -> str:
    """Return why something is refused."""
    with pytest.raises(ExchangeError) as caught:
        act()
    return caught.value.reason


def test_what_the_holder_seals_the_requester_alone_opens():
    """With the two persons who stand for it."""
    found = FollowUpTicket.parse(TICKET.text).open(SEALED, SIGNERS)
    assert found.content == CONTENT
    assert (found.confirmed_by, found.released_by) == ("Ministry", "Parliament")
    with pytest.raises(PreconditionError):
        ticket().open(SEALED, SIGNERS)


@pytest.mark.parametrize("size", [1, limits.MAX_FOLLOW_UP_BYTES])
def test_every_payload_has_one_size(size: int):
    """The exchange does not learn how much was given."""
    sealed = seal_payload(ASKED, CONFIRMED, b"x" * size, SECOND, SIGNERS)
    assert len(sealed) == len(SEALED) == limits.FOLLOW_UP_SEALED_BYTES
    assert TICKET.open(sealed, SIGNERS).content == b"x" * size


@pytest.mark.parametrize("size", [0, limits.MAX_FOLLOW_UP_BYTES + 1])
def test_a_payload_of_another_size_is_refused(size: int):
    """What would not fit is told before anything is sealed."""
    assert reason(
        lambda: seal_payload(ASKED, CONFIRMED, b"x" * size, SECOND, SIGNERS)
    ) == ("WRONG_SIZE")


def test_a_key_that_was_swapped_on_the_way_is_not_sealed_to():
    """Whoever carries the request cannot put its own key, or other words, into it."""
    spy = SealingKey()
    asked = ASKED.request
    for changed in (
        {"key": spy.public},
        {"purpose": "border-check"},
        {"basis": "article 13"},
        {"reference_digest": bytes(32)},
    ):
        fields = {name: getattr(asked, name) for name in asked.__slots__}
        other = FollowUpRequest(**fields | changed)
        kept = SignedRequest(other, Note(other.text, ASKED.note.signatures))
        told = reason(lambda kept=kept: confirmation_note(kept, FIRST, SIGNERS))
        assert told == "FOLLOW_UP_NOT_PROVEN"
        told = reason(
            lambda kept=kept: seal_payload(kept, CONFIRMED, CONTENT, SECOND, SIGNERS)
        )
        assert told == "FOLLOW_UP_NOT_PROVEN"
        # Signed by the carrier's own key instead, which nobody has listed.
        text = other.text
        forged = SignedRequest.parse(Note(text, (STRANGER.sign(text),)).data)
        told = reason(lambda forged=forged: forged.signer(SIGNERS))
        assert told == "FOLLOW_UP_NOT_PROVEN"


@pytest.mark.parametrize("signing", [FIRST, STRANGER])
def test_a_request_is_signed_by_who_is_listed_for_its_requester(signing: SigningKey):
    """Not by one of another member, the holder's own included."""
    wrong = ticket(signing).signed
    assert reason(lambda: wrong.signer(SIGNERS)) == "FOLLOW_UP_NOT_PROVEN"
    assert ASKED.signer(SIGNERS).name == "Ministry"


def test_a_signature_under_anothers_name_counts_for_nothing():
    """A key is what its name and id say, and its signature is tried."""
    posing = SigningKey(OTHER.verifier.name, bytes(32))
    assert reason(lambda: ticket(posing).signed.signer(SIGNERS))
    text = ASKED.request.text
    bad = Note(text, ticket().signed.note.signatures)
    assert reason(lambda: SignedRequest(ASKED.request, bad).signer(SIGNERS))


def test_two_persons_of_the_holder_stand_for_a_payload():
    """The one who confirms and the one who gives are not one, on either side."""
    told = reason(lambda: seal_payload(ASKED, CONFIRMED, CONTENT, FIRST, SIGNERS))
    assert told == "FOLLOW_UP_NOT_PROVEN"
    for signing in (OTHER, STRANGER):
        assert reason(lambda s=signing: confirmation_note(ASKED, s, SIGNERS))
        assert reason(
            lambda s=signing: seal_payload(ASKED, CONFIRMED, CONTENT, s, SIGNERS)
        )
    other = confirmation_note(ticket().signed, FIRST, SIGNERS)
    told = reason(lambda: seal_payload(ASKED, other, CONTENT, SECOND, SIGNERS))
    assert told == "FOLLOW_UP_NOT_PROVEN"
    assert read_confirmation(CONFIRMED, ASKED.request, SIGNERS).name == "Ministry"
    # One who holds two listed keys passes here, and is for the list to keep out.


def sealed_of(*parts: bytes) -> bytes:
    """Seal parts to the requester, as whoever knows the format can."""
    clear = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    asked = ASKED.request
    return seal_to(asked.key, clear, XAA, b"follow-up payload", asked.follow_up_id)


def test_whoever_only_knows_the_key_gives_nothing_that_is_believed():
    """The exchange knows it: what it seals itself is signed by nobody of the holder."""
    text = "biometrics.exchange follow-up payload\n"
    text += f"follow-up {ASKED.request.follow_up_id.hex()}\n"
    digest = hashlib.sha256(CONTENT).hexdigest()
    own = Note(f"{text}sha256 {digest}\n", (STRANGER.sign(f"{text}sha256 {digest}\n"),))
    twice = Note(own.text, (FIRST.sign(own.text),))
    for parts in (
        (CONFIRMED, own.data, CONTENT),
        (CONFIRMED, twice.data, CONTENT),  # of one person alone
        (CONFIRMED, Note(own.text, (SECOND.sign(own.text),)).data, b"other"),
        (CONFIRMED, CONFIRMED, CONTENT),
        (b"no note", own.data, CONTENT),
        (CONFIRMED,),
    ):
        with pytest.raises(UnauthenticatedError) as caught:
            TICKET.open(sealed_of(*parts), SIGNERS)
        assert caught.value.reason == "FOLLOW_UP_NOT_PROVEN"
    good = Note(own.text, (SECOND.sign(own.text),)).data
    assert TICKET.open(sealed_of(CONFIRMED, good, CONTENT), SIGNERS).content == CONTENT


def test_a_member_that_is_not_listed_proves_nothing():
    """An empty list believes nobody."""
    nobody = parse_signers(b"version = 1\n", "signers.toml")
    assert LIST
    assert reason(lambda: ASKED.signer(nobody)) == "FOLLOW_UP_NOT_PROVEN"
    assert reason(lambda: TICKET.open(SEALED, nobody)) == "FOLLOW_UP_NOT_PROVEN"


def test_a_confirmation_names_its_follow_up():
    """One of another is found out by whoever only carries it."""
    asked = ASKED.request.follow_up_id
    refuse_other_confirmation(CONFIRMED, asked)
    for note in (CONFIRMED.replace(asked.hex().encode(), b"0" * 64), ASKED.note.data):
        told = reason(lambda note=note: refuse_other_confirmation(note, asked))
        assert told == "OTHER_FOLLOW_UP"
    assert reason(lambda: refuse_other_confirmation(b"", asked)) == "NOT_A_NOTE"


def test_an_id_is_of_one_request():
    """Whatever its signatures are."""
    asked = ASKED.request.follow_up_id
    more = Note(ASKED.note.text, (FIRST.sign(ASKED.note.text),))
    assert is_note_of(ASKED.note.data, asked)
    assert is_note_of(more.data, asked)
    assert not is_note_of(CONFIRMED, asked)
    assert not is_note_of(b"", asked)


TEXT = ASKED.request.text
WRONG_TEXTS = {
    "another kind": TEXT.replace("follow-up request", "follow-up wish"),
    "a line more": f"{TEXT}more words\n",
    "a line less": TEXT.replace("purpose visa\n", ""),
    "another order": TEXT.replace(
        "purpose visa\nmodality face\n", "modality face\npurpose visa\n"
    ),
    "no member": TEXT.replace("requester XBB", "requester nobody"),
    "another suite": TEXT.replace("mlkem768", "mlkem512"),
    "no base64": TEXT.replace("\nkey ", "\nkey ?"),
    "a basis that is no line": TEXT.replace("article 12", " article 12"),
}


@pytest.mark.parametrize("how", WRONG_TEXTS)
def test_there_is_one_writing_of_a_request(how: str):
    """Anything else is none."""
    assert FollowUpRequest.parse(TEXT) == ASKED.request
    with pytest.raises(InvalidRequestError) as caught:
        FollowUpRequest.parse(WRONG_TEXTS[how])
    assert caught.value.reason == "NOT_A_REQUEST"


@pytest.mark.parametrize("basis", ["", " x", "two\nlines", "x" * 257])
def test_a_legal_basis_is_a_line(basis: str):
    """Or what is read would be another text than what was written."""
    assert reason(lambda: ticket(basis=basis)) == "WRONG_TEXT"


def test_a_reference_has_its_size():
    """A mistyped one is told before anything is asked."""
    assert reason(lambda: ticket(reference=b"short")) == "WRONG_REFERENCE"


def test_a_ticket_that_is_none_is_refused_and_not_repeated():
    """Nor one whose parts belong to different requests; its text stays secret."""
    other = ticket(reference=b"s" * limits.REFERENCE_BYTES)
    head, seeds, note = TICKET.text.rsplit("+", 2)
    for text in (
        "",
        TICKET.text.removeprefix("PRIVATE+"),
        f"{head}+{seeds}",
        f"{head}+AAAA+{note}",
        f"{head}+?+{note}",
        f"{head}+{seeds}+{other.text.rsplit('+', 1)[1]}",
        f"{other.text.rsplit('+', 2)[0]}+{seeds}+{note}",
    ):
        with pytest.raises(InvalidRequestError) as caught:
            FollowUpTicket.parse(text)
        assert caught.value.reason == "NOT_A_TICKET"
        assert seeds not in caught.value.message
    assert key("XAA/first").text == FIRST.text
