"""How a member tests its own system: against a real exchange, in the process."""

from collections.abc import Iterator

import numpy as np
import pytest

from biometrics.client import ExchangeClient, Record, Template
from biometrics.testing import ExchangeInProcess


def is_registered(exchange: ExchangeClient, face: Template) -> bool:
    """Say whether the agency knows the applicant; the system to be tested."""
    return exchange.match(face, purpose="asylum-and-protection").regional == "match"


@pytest.fixture(scope="module")
def exchange() -> Iterator[ExchangeInProcess]:
    """An exchange with the sample members and agreements."""
    with ExchangeInProcess() as exchange:
        yield exchange


def face(seed: int) -> Template:
    """Return the face of a person."""
    vector = np.random.default_rng(seed).standard_normal(512)
    return Template(space="face-synthetic-512", position="face", vector=vector)


def test_an_applicant_is_known_once_registered(exchange: ExchangeInProcess) -> None:
    """And nobody else is."""
    agency, desk = exchange.client("XRA", "enroller"), exchange.client("XAA")
    agency.enrol(Record(reference="case-1", templates=(face(1),)))
    assert is_registered(desk, face(1))
    assert not is_registered(desk, face(2))


def test_a_record_that_is_protected_from_us_is_not_known(
    exchange: ExchangeInProcess,
) -> None:
    """As if it were not there."""
    agency, desk = exchange.client("XRA", "enroller"), exchange.client("XAA")
    agency.enrol(Record(reference="case-3", templates=(face(3),), excluded=("XAA",)))
    assert not is_registered(desk, face(3))
