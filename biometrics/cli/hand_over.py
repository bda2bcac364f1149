"""Seals a key-encryption key to the exchange, once that has proved who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.custody import SUITE, read_key_file, seal_to
from biometrics.errors import ConfigurationError
from biometrics.members import Member
from biometrics.signing import VerifierKey, read_hand_over

if TYPE_CHECKING:
    import uuid
    from pathlib import Path

    from biometrics.client import ExchangeClient


def sealed_key(
    exchange: ExchangeClient,
    request_id: uuid.UUID,
    key: Path | None,
    verifier: str | None,
) -> bytes:
    """Return what is to be handed over; nothing where no key is named.

    Args:
        exchange: to whom.
        request_id: of the request that carries it.
        key: file of the key-encryption key.
        verifier: the exchange's verifier key, which the member has from its operator.

    Raises:
        ConfigurationError: one of the two is named without the other, or `key` cannot
            be read.
        InvalidRequestError: `verifier` is none.
        UnauthenticatedError: the exchange did not prove that it is the one.
    """
    if key is None and verifier is None:
        return b""
    if key is None or verifier is None:
        raise ConfigurationError(
            "KEY_AND_VERIFIER",
            "give `--key FILE` and `--verifier KEY` together: a key is handed to nobody"
            " who has not proved to be the exchange",
        )
    secret, known = read_key_file(key), VerifierKey.parse(verifier)
    offered = exchange.hand_over()
    public = read_hand_over(offered.note, SUITE, known)
    return seal_to(public, secret, Member(offered.holder), request_id.bytes)
