"""Enrol a person, find them, ask for several at once, and be refused.

python search.py CLIENTS, the folder of profiles that `biometrics init` makes.
"""

import secrets
import sys
from pathlib import Path

import numpy as np

from biometrics.client import (
    ExchangeClient,
    MatchAnswer,
    Probe,
    Profile,
    Record,
    Template,
)
from biometrics.errors import ExchangeError, RefusedError

clients = Path(sys.argv[1])


def person() -> Template:
    """Return what an extractor would give; here it is drawn."""
    drawn = np.random.default_rng().standard_normal(512)
    return Template(space="face-synthetic-512", position="face", vector=drawn)


registered, stranger = person(), person()
purpose = "asylum-and-protection"

with ExchangeClient(Profile.load(clients / "XRA-enroller.toml")) as agency:
    reference = secrets.token_hex(8)
    outcome = agency.enrol(Record(reference=reference, templates=(registered,)))
    print("enrolled:", outcome.status)

with ExchangeClient(Profile.load(clients / "XAA-client.toml")) as border:
    answer = border.match(registered, purpose=purpose)
    print("one:", answer.regional)
    for each in answer.holders:
        print(
            f"  {each.holder}: {each.outcome}",
            "with a reference" * bool(each.reference),
        )

    # Whom the person fled must not be asked, and does not learn of the question.
    asked: list[Probe | Template] = [
        Probe(template=registered, excluded_holders=("XBB",)),
        stranger,
    ]
    for result in border.match_many(asked, purpose=purpose):
        print("many:", result.regional if isinstance(result, MatchAnswer) else result)

    try:
        border.match(registered, purpose="smuggling-investigation")
    except RefusedError as error:
        print("refused:", error.reason)
    try:
        border.match(
            Template(space="no-such", position="face", vector=[1.0] * 512),
            purpose=purpose,
        )
    except ExchangeError as error:
        print("wrong:", *(f"{fault.field}: {fault.reason}" for fault in error.faults))
