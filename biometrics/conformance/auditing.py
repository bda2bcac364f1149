"""Proof: the receipt of a search is checked offline, and against the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.audit.receipt import Receipt
from biometrics.conformance.sheet import NotSoError
from biometrics.signing import VerifierKey

if TYPE_CHECKING:
    from biometrics.client import ExchangeClient, MatchAnswer


def check_receipt(answer: MatchAnswer, key: str) -> str:
    """Return what a receipt proves, which is this answer and no other.

    Raises:
        InvalidRequestError: it does not.
        NotSoError: it proves another answer as well.
    """
    receipt = _parsed(answer, key)
    receipt.check_answer(answer.text)
    try:
        receipt.check_answer(f"{answer.text}x")
    except Exception:  # noqa: BLE001 - whatever it is refused with
        return f"leaf {receipt.index} of {receipt.origin}"
    raise NotSoError("the receipt stands for another answer as well")


def check_log(answer: MatchAnswer, key: str, exchange: ExchangeClient) -> str:
    """Return how long the log is, which has the leaf of the receipt.

    Raises:
        NotSoError: it has not, or its key is another one.
    """
    receipt, checkpoint = _parsed(answer, key), exchange.checkpoint()
    if checkpoint.verifier_key != key:
        raise NotSoError(
            f"the exchange signs its log by `{checkpoint.verifier_key}`, and not by the"
            " key that you were given: ask its operator, by another way"
        )
    if exchange.log_leaves(receipt.index, 1) != (receipt.leaf.data,):
        raise NotSoError("the log has another leaf there: keep the receipt, and tell")
    entries = exchange.log_entries(receipt.index, 1)
    if not entries:
        raise NotSoError("the log tells the member nothing of its own search")
    return f"leaf {receipt.index} is there, with an entry of this member's"


def check_handed(exchange: ExchangeClient) -> str:
    """Return how many keys of entries were handed to the member's auditor.

    Raises:
        NotSoError: none was.
    """
    handed = [key for key in exchange.log_keys() if key.handed]
    if not handed:
        raise NotSoError(
            "no key of the log was handed over: the exchange has no `auditor` of this"
            " member; make a key by `biometrics audit key`, and give it the public one"
        )
    return f"{len(handed)} key{'s' * (len(handed) != 1)}"


def _parsed(answer: MatchAnswer, key: str) -> Receipt:
    """Return the receipt of an answer, which the key has signed."""
    return Receipt.parse(answer.receipt.encode(), VerifierKey.parse(key))
