"""The method table is complete, and says who may call what."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2

from biometrics.callers import Role
from biometrics.errors import DefectError
from biometrics.server.methods import (
    METHODS,
    SERVICES,
    Method,
    check_table,
    served_methods,
)
from biometrics.v1 import agreement_pb2, enrolment_pb2, match_pb2, space_pb2

ENROLMENT = "/biometrics.v1.EnrolmentService/"


def test_every_method_of_the_contract_has_its_row_and_no_other_has_one():
    """Contract and table name the same methods."""
    files = (match_pb2, enrolment_pb2, agreement_pb2, space_pb2, health_pb2)
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


def test_searching_and_enrolling_are_different_roles():
    """No role may do both."""
    for name, row in METHODS.items():
        if "MatchService" in name:
            assert row.roles == {Role.CLIENT}, name
        elif name.startswith(ENROLMENT) and not name.endswith("ListGalleries"):
            assert row.roles == {Role.ENROLLER}, name


def test_a_witness_sees_health_alone():
    """Who countersigns the log may call nothing of the exchange's."""
    seen = {name for name, row in METHODS.items() if Role.WITNESS in row.roles}
    assert all(name.startswith("/grpc.health.v1.Health/") for name in seen)


def test_only_watching_needs_no_deadline():
    """Every other method has to end."""
    endless = [name for name, row in METHODS.items() if not row.needs_deadline]
    assert endless == ["/grpc.health.v1.Health/Watch"]
