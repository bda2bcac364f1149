"""The method table is complete, and says who may call what."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2

from biometrics import limits
from biometrics.callers import Role
from biometrics.errors import DefectError
from biometrics.server.methods import (
    METHODS,
    SERVICES,
    Method,
    check_table,
    served_methods,
)
from biometrics.v1 import (
    agreement_pb2,
    audit_pb2,
    custody_pb2,
    duplicate_pb2,
    enrolment_pb2,
    followup_pb2,
    match_pb2,
    review_pb2,
    space_pb2,
    template_pb2,
)

ENROLMENT = "/biometrics.v1.EnrolmentService/"


def test_every_method_of_the_contract_has_its_row_and_no_other_has_one():
    """Contract and table name the same methods."""
    files = (
        *(match_pb2, duplicate_pb2, enrolment_pb2, custody_pb2),
        *(agreement_pb2, review_pb2, followup_pb2, space_pb2, audit_pb2),
        health_pb2,
    )
    whole = [s for f in files for s in f.DESCRIPTOR.services_by_name.values()]
    assert set(whole) == set(SERVICES)
    check_table(SERVICES)
    assert served_methods(SERVICES) == set(METHODS)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_without_a_row_stops_the_start(method: str):
    """Whichever row is missing, its method is named."""
    table = {name: row for name, row in METHODS.items() if name != method}
    with pytest.raises(DefectError, match=f"`{method}` is served without a row"):
        check_table(SERVICES, table)


def test_a_row_without_a_method_stops_the_start():
    """A row for what is not served is a mistake in one of the two."""
    table = {
        **METHODS,
        "/biometrics.v1.MatchService/Export": METHODS[ENROLMENT + "Enrol"],
    }
    with pytest.raises(DefectError, match="MatchService/Export` is not served"):
        check_table(SERVICES, table)


def test_a_row_for_nobody_stops_the_start():
    """A row without a role is no row."""
    table = {**METHODS, ENROLMENT + "Enrol": Method(roles=frozenset())}
    with pytest.raises(DefectError, match="Enrol` has no role"):
        check_table(SERVICES, table)


def test_everything_wrong_with_the_table_is_told_at_once():
    """Two methods without rows are both named."""
    with pytest.raises(DefectError) as caught:
        check_table(SERVICES, {})
    assert all(method in caught.value.message for method in METHODS)


def test_the_table_cannot_be_changed():
    """Nobody adds a row while the server runs."""
    with pytest.raises(TypeError):
        METHODS["/x/y"] = METHODS[ENROLMENT + "Enrol"]  # type: ignore[index]


COUNTS = ("ListGalleries", "SummariseRecords")


def test_searching_and_enrolling_are_different_roles():
    """No role may do both."""
    for name, row in METHODS.items():
        if "MatchService" in name:
            assert row.roles == {Role.CLIENT}, name
        elif name.startswith(ENROLMENT) and not name.endswith(COUNTS):
            assert row.roles == {Role.ENROLLER}, name


def test_a_witness_sees_health_and_what_is_public_of_the_log():
    """Who countersigns the log may call nothing else, and no entry of any member's."""
    seen = {name for name, row in METHODS.items() if Role.WITNESS in row.roles}
    log = {f"/biometrics.v1.AuditService/{n}" for n in ("GetCheckpoint", "GetTile")}
    assert {n for n in seen if not n.startswith("/grpc.health.v1.Health/")} == {
        *log,
        "/biometrics.v1.AuditService/ListLeaves",
    }


def test_entries_of_the_log_are_for_auditors_alone():
    """What of it is a member's own, no unattended system of the member's reads."""
    for name in ("ListOwnEntries", "ListEntryKeys"):
        row = METHODS[f"/biometrics.v1.AuditService/{name}"]
        assert row.roles == {Role.AUDITOR}


def test_only_watching_needs_no_deadline():
    """Every other method has to end."""
    endless = [name for name, row in METHODS.items() if not row.needs_deadline]
    assert endless == ["/grpc.health.v1.Health/Watch"]


def test_the_largest_search_and_the_largest_record_fit_into_their_methods():
    """Every field at its longest, in four bytes a character."""
    wide = "\N{OLD PERSIAN SIGN A}"
    template = template_pb2.Template(
        space="s" * limits.MAX_NAME_CHARACTERS,
        position=template_pb2.POSITION_LEFT_IRIS,
        data_type=template_pb2.DATA_TYPE_FLOAT32,
        data=bytes(4 * limits.MAX_DIMENSION),
        quality=100,
    )
    everybody = ["UNHCR"] * limits.MAX_HOLDERS_PER_SEARCH
    search = match_pb2.MatchRequest(
        request_id="0" * 36,
        requester="UNHCR",
        purpose=match_pb2.PURPOSE_VISA,
        probe=match_pb2.Probe(templates=[template], excluded_holders=everybody),
        holders=everybody,
    )
    record = enrolment_pb2.Record(
        reference=wide * limits.MAX_REFERENCE_CHARACTERS,
        templates=[template] * limits.MAX_TEMPLATES_PER_RECORD,
        excluded_requesters=everybody,
        legal_basis=wide * limits.MAX_LEGAL_BASIS_CHARACTERS,
        expire_time={"seconds": 2**40, "nanos": 999_999_999},
    )
    enrol = enrolment_pb2.EnrolRequest(
        request_id="0" * 36, holder="UNHCR", record=record
    )
    protect = enrolment_pb2.ProtectRequest(
        request_id="0" * 36,
        holder="UNHCR",
        reference=record.reference,
        excluded_requesters=everybody,
        exclude_nobody=True,
    )
    duplicates = duplicate_pb2.FindDuplicatesRequest(
        holder="UNHCR", references=[record.reference] * limits.MAX_DUPLICATES_ASKED
    )
    row = METHODS["/biometrics.v1.DuplicateService/FindDuplicates"]
    assert duplicates.ByteSize() <= row.most_bytes
    replace = enrolment_pb2.ReplaceRequest(
        request_id="0" * 36,
        holder="UNHCR",
        reference=record.reference,
        template=template,
        sample=limits.MAX_TEMPLATES_PER_RECORD - 1,
        accept_lower_quality=True,
    )
    assert replace.ByteSize() <= METHODS[ENROLMENT + "Replace"].most_bytes
    assert protect.ByteSize() <= METHODS[ENROLMENT + "Protect"].most_bytes
    assert search.ByteSize() <= METHODS["/biometrics.v1.MatchService/Match"].most_bytes
    assert enrol.ByteSize() <= METHODS[ENROLMENT + "Enrol"].most_bytes


def test_the_largest_page_fits_into_a_message():
    """As many records, or clauses, as a page has, each at its largest."""
    wide = "\N{OLD PERSIAN SIGN A}"
    summary = enrolment_pb2.TemplateSummary(
        space="s" * limits.MAX_NAME_CHARACTERS,
        position=template_pb2.POSITION_LEFT_IRIS,
        quality=100,
    )
    record = enrolment_pb2.RecordSummary(
        reference=wide * limits.MAX_REFERENCE_CHARACTERS,
        templates=[summary] * limits.MAX_TEMPLATES_PER_RECORD,
        excluded_requesters=["UNHCR"] * limits.MAX_EXCLUDED_REQUESTERS,
        legal_basis=wide * limits.MAX_LEGAL_BASIS_CHARACTERS,
        enrol_time={"seconds": 2**40, "nanos": 999_999_999},
        expire_time={"seconds": 2**40, "nanos": 999_999_999},
        protect_time={"seconds": 2**40, "nanos": 999_999_999},
        replace_time={"seconds": 2**40, "nanos": 999_999_999},
        generation=2**31,
    )
    page = enrolment_pb2.ListRecordsResponse(
        records=[record] * limits.MAX_PAGE_RECORDS, next_page_token="0" * 200
    )
    assert page.ByteSize() <= limits.MAX_MESSAGE_BYTES
