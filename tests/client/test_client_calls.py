"""What a member's developer can ask, and gets, over mutual TLS."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.client import (
    AgreementInfo,
    EnrolOutcome,
    ExchangeClient,
    Explanation,
    GalleryInfo,
    HolderAnswer,
    MatchAnswer,
    Outcome,
    Probe,
    ProbeRefusal,
    Profile,
    ProtectOutcome,
    Record,
    ReplaceOutcome,
    SpaceInfo,
    Template,
    TemplateInfo,
    VersionInfo,
    WithdrawReceipt,
)
from biometrics.client.responses.searching import read_answer
from biometrics.errors import InvalidRequestError
from biometrics.v1 import enrolment_pb2, match_pb2, template_pb2
from tests.pocket import FAR_AHEAD, WITHDRAWN_AT, Script

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_enrolled_person_is_found_with_outcomes_by_holder(
    exchange: ExchangeClient,
    face: Callable[..., Template],
    person: Callable[[int], Record],
):
    """A match says who holds the person and gives the reference in hexadecimal."""
    exchange.enrol(person(1))
    answer = exchange.match(face(1), purpose="border-check")
    assert answer == MatchAnswer(
        regional=Outcome.MATCH,
        holders=(
            HolderAnswer(
                holder="XAB",
                outcome=Outcome.MATCH,
                reference="000102030405060708090a0b0c0d0e0f",
            ),
            HolderAnswer(holder="XAC", outcome=Outcome.UNAVAILABLE, reference=""),
            HolderAnswer(holder="XAD", outcome=Outcome.NOT_COMPARABLE, reference=""),
        ),
        receipt_status="not-issued",
    )


def test_outcomes_equal_their_words(
    exchange: ExchangeClient, face: Callable[..., Template]
):
    """A developer may compare an outcome with its word."""
    assert exchange.match(face(2), purpose="visa").regional == "no-match"


@pytest.mark.usefixtures("exchange", "face", "script")
def test_an_outcome_of_a_newer_exchange_is_unknown():
    """What this version cannot read is never taken for a no-match."""
    assert {outcome.value for outcome in Outcome} - {"unknown"} == {
        value.name.removeprefix("OUTCOME_").lower().replace("_", "-")
        for value in match_pb2.Outcome.DESCRIPTOR.values
        if value.number
    }
    newer = match_pb2.MatchResponse(regional_outcome=77)
    assert read_answer(newer).regional is Outcome.UNKNOWN
    assert read_answer(match_pb2.MatchResponse()).regional is Outcome.UNKNOWN


def test_a_search_carries_what_the_caller_said(
    exchange: ExchangeClient, face: Callable[..., Template], script: Script
):
    """Purpose, holders, request id and vector arrive as they were given."""
    given = uuid.uuid4()
    exchange.match(
        face(3), purpose="smuggling-investigation", holders=["XAB"], request_id=given
    )
    (request,) = script.requests
    assert request.purpose == match_pb2.PURPOSE_SMUGGLING_INVESTIGATION
    assert list(request.holders) == ["XAB"]
    assert request.request_id == str(given)
    sent = np.frombuffer(request.probe.templates[0].data, "<f4")
    assert sent == pytest.approx(np.asarray(face(3).vector), rel=1e-6)


def test_random_request_ids_come_from_the_injected_source(
    profile: Profile, face: Callable[..., Template], script: Script
):
    """A call that names no request id gets a UUID4 of the injected bytes."""
    with ExchangeClient(profile, random_bytes=lambda n: b"\xff" * n) as client:
        client.match(face(1), purpose="visa")
    assert script.requests[0].request_id == "ffffffff-ffff-4fff-bfff-ffffffffffff"


def test_the_deadline_is_the_profiles_unless_the_call_names_one(
    exchange: ExchangeClient, face: Callable[..., Template], script: Script
):
    """Every call has a deadline."""
    exchange.match(face(1), purpose="visa")
    exchange.match(face(1), purpose="visa", deadline=3.0)
    assert 5 < script.deadlines[0] < 10.5
    assert 1 < script.deadlines[1] < 3.5


def test_a_batch_answers_in_order_and_refuses_single_probes(
    exchange: ExchangeClient,
    face: Callable[..., Template],
    person: Callable[[int], Record],
):
    """One bad probe does not stop the others."""
    exchange.enrol(person(1))
    first, second, third = exchange.match_many(
        [face(1), face(1, dimension=17), face(2)], purpose="visa"
    )
    assert isinstance(first, MatchAnswer)
    assert first.regional == "match"
    assert second == ProbeRefusal(reason="WRONG_DIMENSION", message="of another size")
    assert isinstance(third, MatchAnswer)
    assert third.regional == "no-match"


@pytest.mark.usefixtures("face")
def test_a_record_carries_everything_it_was_given(
    exchange: ExchangeClient, script: Script
):
    """Exclusions, legal basis, expiry and quality reach the exchange."""
    template = Template(
        space="faces-v1", position="left-iris", vector=np.ones(16, "f2"), quality=0
    )
    record = Record(
        reference="r",
        templates=(template,),
        excluded=("XAD", "XAE"),
        legal_basis="article 9",
        expires_at=dt.datetime(
            2030, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))
        ),
    )
    assert exchange.enrol(record) == EnrolOutcome(status="enrolled")
    sent = script.requests[0].record
    assert list(sent.excluded_requesters) == ["XAD", "XAE"]
    assert sent.legal_basis == "article 9"
    assert sent.expire_time.ToDatetime() == dt.datetime(2030, 1, 1)  # noqa: DTZ001
    assert sent.templates[0].HasField("quality")
    assert sent.templates[0].quality == 0
    assert sent.templates[0].data == np.ones(16, "<f4").tobytes()


def test_enrolling_the_same_record_again_says_so(
    exchange: ExchangeClient, person: Callable[[int], Record]
):
    """The second enrolment of one record changes nothing and is no error."""
    exchange.enrol(person(1))
    assert exchange.enrol(person(1)).status == "already-enrolled"


def test_a_withdrawal_says_when_and_what(
    exchange: ExchangeClient, person: Callable[[int], Record]
):
    """The moment is aware, in UTC."""
    exchange.enrol(person(1))
    assert exchange.withdraw("ref-1") == WithdrawReceipt(
        reference="ref-1",
        withdrawn_at=WITHDRAWN_AT,
        reason="withdrawn",
        removed=(TemplateInfo(space="faces-v1", position="face", quality=70),),
    )


def test_a_replacement_says_which_template_it_was(
    exchange: ExchangeClient, face: Callable[..., Template], script: Script
):
    """What is not given is not sent; what can be seen to be wrong is not either."""
    done = exchange.replace("ref-1", face(1), sample=0, accept_lower_quality=True)
    assert done == ReplaceOutcome(replaced_at=WITHDRAWN_AT, sample=0, generation=2)
    exchange.replace("ref-1", face(1))
    first, second = script.requests
    assert (first.HasField("sample"), second.HasField("sample")) == (True, False)
    assert (first.accept_lower_quality, second.accept_lower_quality) == (True, False)
    with pytest.raises(InvalidRequestError) as caught:
        exchange.replace("ref-1", replace(face(1), position="nose"), sample=32)
    assert [fault.field for fault in caught.value.faults] == [
        "template.position",
        "sample",
    ]


def test_a_protection_says_what_it_changed(exchange: ExchangeClient, script: Script):
    """The whole set is sent, and what is deliberate is sent as such."""
    given = uuid.uuid4()
    done = exchange.protect("ref-1", excluded=["XAD", "XAE"], request_id=given)
    assert done == ProtectOutcome(
        protected_at=WITHDRAWN_AT, added=("XAD", "XAE"), removed=("XAF",)
    )
    exchange.protect("ref-1", exclude_nobody=True)
    first, second = script.requests
    assert (first.request_id, first.reference) == (str(given), "ref-1")
    assert list(first.excluded_requesters) == ["XAD", "XAE"]
    assert (first.exclude_nobody, second.exclude_nobody) == (False, True)
    assert list(second.excluded_requesters) == []


def test_a_probe_carries_its_marks(
    exchange: ExchangeClient, face: Callable[..., Template], script: Script
):
    """Alone and in a batch, each its own; a plain template carries none."""
    marked = Probe(template=face(1), excluded_holders=("XAC", "XAD"))
    exchange.match(marked, purpose="visa")
    exchange.match_many([face(1), marked], purpose="visa")
    single, batch = script.requests
    assert list(single.probe.excluded_holders) == ["XAC", "XAD"]
    sent = [list(probe.excluded_holders) for probe in batch.probes]
    assert sent == [[], ["XAC", "XAD"]]
    assert single.probe.templates == batch.probes[0].templates


def test_galleries_are_counted_with_their_state(
    exchange: ExchangeClient, person: Callable[[int], Record], script: Script
):
    """Counts and state come back as numbers and a word."""
    exchange.enrol(person(1))
    expected = GalleryInfo(space="faces-v1", records=1, templates=1, state="ready")
    assert exchange.galleries() == (expected,)
    script.state = enrolment_pb2.GALLERY_STATE_LOCKED
    assert exchange.galleries()[0].state == "locked"


@pytest.mark.usefixtures("script")
def test_records_are_read_page_by_page(
    exchange: ExchangeClient, person: Callable[[int], Record]
):
    """The iterator follows the pages to the end, each record once."""
    for seed in range(5):
        exchange.enrol(person(seed))
    records = list(exchange.records(page_size=2))
    assert [record.reference for record in records] == [f"ref-{n}" for n in range(5)]
    assert records[0].expires_at == FAR_AHEAD
    assert records[-1].expires_at is None
    assert records[0].enrolled_at == WITHDRAWN_AT
    assert records[0].protected_at == WITHDRAWN_AT
    assert records[-1].protected_at is None
    assert [t.quality for t in records[0].templates] == [0, None]
    assert records[0].excluded == ("XAD",)


def test_agreements_come_back_as_words_and_days(exchange: ExchangeClient):
    """A permit has a level and days, a forbid has neither."""
    assert exchange.agreements() == (
        AgreementInfo(
            holder="XAA",
            requester="XAB",
            effect="permit",
            purposes=("border-check", "visa"),
            modalities=("face",),
            level="reference",
            valid_from=dt.date(2026, 1, 1),
            valid_until=dt.date(2026, 12, 31),
            legal_basis="treaty [1]",
        ),
        AgreementInfo(
            holder="XAA",
            requester="*",
            effect="forbid",
            purposes=(),
            modalities=(),
            level="",
            valid_from=None,
            valid_until=None,
            legal_basis="",
        ),
    )


OWN = VersionInfo(revision=3, sha256="ab" * 32, signers=("Ministry", "Parliament"))


def test_an_explanation_names_the_line_that_decides(exchange: ExchangeClient):
    """A permitted search names its clause; one without a clause names none."""
    asked = {"holder": "XAA", "purpose": "visa", "modality": "face"}
    assert exchange.own_version() == OWN
    assert exchange.explain(requester="XAB", **asked) == Explanation(
        permitted=True,
        level="holder",
        decided_by="XAA.toml:12",
        text="permitted by the clause",
        own_version=OWN,
    )
    refused = exchange.explain(requester="XAC", **asked)
    assert refused.own_version is None
    assert (refused.permitted, refused.level, refused.decided_by) == (False, "", "")


def test_spaces_are_listed(exchange: ExchangeClient):
    """A space says what its templates must be."""
    assert exchange.spaces() == (
        SpaceInfo(
            name="faces-v1",
            modality="face",
            extractor="test",
            extractor_version="1",
            positions=("face",),
            dimension=16,
            data_type="float32",
            metric="cosine",
            normalisation="unit",
            quality_scale="NFIQ 2",
            identity="faces-v1@00",
            threshold_basis="unmeasured",
            least_quality={"face": 40},
        ),
    )


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        (np.ones(16, dtype=np.int32), "WRONG_DTYPE"),
        (np.ones((1, 16)), "WRONG_SHAPE"),
        (b"0123", "WRONG_DTYPE"),
    ],
)
def test_what_is_no_vector_is_refused_before_it_is_sent(
    exchange: ExchangeClient, script: Script, vector: object, reason: str
):
    """Integers, matrices and bytes are refused with the field's name."""
    probe = Template(space="faces-v1", position="face", vector=vector)
    with pytest.raises(InvalidRequestError) as caught:
        exchange.match(probe, purpose="visa")
    assert caught.value.reason == reason
    assert caught.value.faults[0].field == "probe.templates[0].data"
    assert not script.requests


def test_every_fault_of_a_request_is_reported_at_once(
    exchange: ExchangeClient, script: Script
):
    """Four mistakes, one error, and the words that are allowed."""
    probe = Template(space="faces-v1", position="nose", vector=np.ones(16), quality=101)
    with pytest.raises(InvalidRequestError) as caught:
        exchange.match(probe, purpose="curiosity", request_id="nonsense")
    faults = {fault.field: fault.message for fault in caught.value.faults}
    assert list(faults) == [
        "request_id",
        "purpose",
        "probe.templates[0].position",
        "probe.templates[0].quality",
    ]
    assert "border-check, visa, asylum-and-protection" in faults["purpose"]
    assert "unspecified" not in faults["purpose"]
    assert not script.requests


def test_one_code_in_the_place_of_several_is_refused(
    exchange: ExchangeClient, face: Callable[..., Template]
):
    """A text is not taken letter by letter."""
    probe = Probe(template=face(1), excluded_holders="XBB")  # type: ignore[arg-type]
    record = Record(reference="r", templates=(face(1),), excluded="XAA")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError) as asked:
        exchange.match(probe, purpose="visa", holders="XRA")
    with pytest.raises(InvalidRequestError) as enrolled:
        exchange.enrol(record)
    faults = [*asked.value.faults, *enrolled.value.faults]
    assert {each.field: each.reason for each in faults} == {
        "holders": "NOT_A_LIST",
        "probe.excluded_holders": "NOT_A_LIST",
        "record.excluded_requesters": "NOT_A_LIST",
    }
    assert '`("XRA",)`' in str(asked.value)


def test_an_unknown_modality_is_refused_with_those_allowed(exchange: ExchangeClient):
    """The error of `explain` lists the modalities."""
    with pytest.raises(InvalidRequestError, match="face, fingerprint, iris"):
        exchange.explain(holder="XAA", requester="XAB", purpose="visa", modality="gait")


def test_a_moment_without_time_zone_is_refused(
    exchange: ExchangeClient, face: Callable[..., Template]
):
    """A naive expiry could mean any of 24 hours."""
    naive = dt.datetime(2030, 1, 1)  # noqa: DTZ001 - the mistake under test
    record = Record(reference="r", templates=(face(1),), expires_at=naive)
    with pytest.raises(InvalidRequestError) as caught:
        exchange.enrol(record)
    assert caught.value.reason == "NO_TIME_ZONE"


def test_a_request_that_is_too_large_is_not_sent(
    exchange: ExchangeClient, face: Callable[..., Template], script: Script
):
    """The client says how large it may be."""
    probes = [face(1, dimension=8192)] * 140
    with pytest.raises(InvalidRequestError, match="fewer probes") as caught:
        exchange.match_many(probes, purpose="visa")
    assert caught.value.reason == "MESSAGE_TOO_LARGE"
    assert not script.requests


def test_a_component_beyond_float32_is_left_to_the_exchange(
    exchange: ExchangeClient, script: Script
):
    """It becomes infinite without a warning, and the exchange refuses it."""
    probe = Template(space="faces-v1", position="face", vector=np.full(16, 1e300))
    exchange.match(probe, purpose="visa")
    sent = np.frombuffer(script.requests[0].probe.templates[0].data, "<f4")
    assert np.isinf(sent).all()


def test_no_repr_shows_a_vector_a_reference_or_a_key(
    exchange: ExchangeClient,
    profile: Profile,
    face: Callable[..., Template],
    person: Callable[[int], Record],
):
    """What is printed by accident gives nobody away."""
    exchange.enrol(person(1))
    answer = exchange.match(face(1), purpose="visa")
    listed = next(iter(exchange.records()))
    shown = repr([person(1), face(1), answer, listed, profile])
    for secret in ("ref-1", "0001020304", "client.key", "array"):
        assert secret not in shown


def test_a_probe_carries_every_template_of_a_person(
    exchange: ExchangeClient, face: Callable[..., Template], script: Script
):
    """In the order given, each with its own position."""
    finger = replace(face(2), position="left-index")
    probe = Probe(template=face(1), further=(finger, replace(finger, position="nose")))
    with pytest.raises(InvalidRequestError) as refused:
        exchange.match(probe, purpose="visa")
    (fault,) = refused.value.faults
    assert fault.field == "probe.templates[2].position"
    exchange.match(replace(probe, further=(finger,)), purpose="visa")
    (sent,) = script.requests
    positions = [template.position for template in sent.probe.templates]
    assert positions == [
        template_pb2.POSITION_FACE,
        template_pb2.POSITION_LEFT_INDEX,
    ]
