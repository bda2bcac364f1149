"""Match messages to values and back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.audit.receipt import fill
from biometrics.callers import acting_as
from biometrics.disclosure import Answer, Outcome, Purpose
from biometrics.errors import DefectError, Fault, InvalidRequestError
from biometrics.templates import Position
from biometrics.v1 import duplicate_pb2, match_pb2, template_pb2
from biometrics.wire import (
    caught,
    content_of,
    read_members,
    read_request_id,
    read_template,
    read_word,
    write_word,
)
from matcher.question import Question, Refusal, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from biometrics.members import Member
    from biometrics.templates import Template, TemplateSpace, TemplateSpaces
    from matcher.duplicates import Resembling


def read_match(message: match_pb2.MatchRequest, spaces: TemplateSpaces) -> Search:
    """Return the search of a MatchRequest."""
    return _search(message, [message.probe], spaces)


def read_batch(message: match_pb2.BatchMatchRequest, spaces: TemplateSpaces) -> Search:
    """Return the search of a BatchMatchRequest."""
    most = limits.MAX_PROBES_PER_BATCH
    if not 1 <= len(message.probes) <= most:
        fault = Fault(
            field="probes",
            reason="WRONG_COUNT",
            message=f"{len(message.probes)} probes; must be 1 to {most}",
        )
        raise InvalidRequestError.of([fault])
    return _search(message, message.probes, spaces)


def _search(
    message: match_pb2.MatchRequest | match_pb2.BatchMatchRequest,
    probes: Sequence[match_pb2.Probe],
    spaces: TemplateSpaces,
) -> Search:
    """Read what both requests share; every fault of it at once."""
    requester = acting_as(message.requester)
    faults: list[Fault] = []
    request_id, purpose = b"", None
    with caught(faults, ""):
        request_id = read_request_id(message.request_id)
    with caught(faults, ""):
        purpose = read_word(Purpose, match_pb2.Purpose, message.purpose, "purpose")
    most = limits.MAX_HOLDERS_PER_SEARCH
    holders = read_members(message.holders, most, "holders", faults)
    if faults or purpose is None:
        raise InvalidRequestError.of(faults)
    return Search(
        requester=requester,
        request_id=request_id,
        content=content_of(message),
        purpose=purpose,
        holders=holders,
        questions=tuple(_question(probe, spaces) for probe in probes),
    )


def _question(
    probe: match_pb2.Probe, spaces: TemplateSpaces
) -> Question | InvalidRequestError:
    """Return the question of one probe, its templates unread."""
    most = len(Position)
    if not 1 <= len(probe.templates) <= most:
        fault = Fault(
            field="probe.templates",
            reason="WRONG_COUNT",
            message=f"{len(probe.templates)} templates; must be 1 to {most}",
        )
        return InvalidRequestError.of([fault])
    faults: list[Fault] = []
    most = limits.MAX_EXCLUDED_HOLDERS
    field = "probe.excluded_holders"
    excluded = read_members(probe.excluded_holders, most, field, faults)
    named = []
    for index, template in enumerate(probe.templates):
        with caught(faults, f"probe.templates[{index}]"):
            named.append(spaces.named(template.space))
    if len(named) < len(probe.templates):
        return InvalidRequestError.of(faults)
    _check_positions(probe, faults)
    fallback = _fallback(probe, named[0], faults)
    if faults:
        return InvalidRequestError.of(faults)
    return Question(
        spaces=tuple(named),
        excluded=excluded,
        fallback=fallback,
        templates=partial(_templates, probe, spaces),
    )


def _check_positions(probe: match_pb2.Probe, faults: list[Fault]) -> None:
    """Append the fault of templates that are not of different parts of the body."""
    numbers = [template.position for template in probe.templates]
    if len(set(numbers)) < len(numbers):
        told = (
            "must be different: two captures of one part of the body tell little more"
            " than one; send the better of them"
        )
        field = "probe.templates.position"
        faults.append(Fault(field=field, reason="REPEATED_VALUE", message=told))
    if len(numbers) > 1 and probe.fallback_positions:
        told = (
            "are for one template: where the order of several is in doubt, search with"
            " one at a time"
        )
        faults.append(Fault(field=_FALLBACK, reason="WRONG_COUNT", message=told))


def _fallback(
    probe: match_pb2.Probe, space: TemplateSpace, faults: list[Fault]
) -> tuple[Position, ...]:
    """Return the positions beside its own that a probe asks for; append faults."""
    numbers = list(probe.fallback_positions)
    if len(numbers) > len(Position):
        told = f"at most {len(Position)} positions"
        faults.append(Fault(field=_FALLBACK, reason="TOO_MANY", message=told))
        return ()
    if len({*numbers, probe.templates[0].position}) <= len(numbers):
        told = "must name each position once, and not the template's own"
        faults.append(Fault(field=_FALLBACK, reason="REPEATED_VALUE", message=told))
    found = []
    for index, number in enumerate(numbers):
        with caught(faults, ""):
            field = f"{_FALLBACK}[{index}]"
            position = read_word(Position, template_pb2.Position, number, field)
            if position not in space.positions:
                told = f"`{position}` is not a position of `{space.name}`"
                fault = Fault(field=field, reason="WRONG_POSITION", message=told)
                raise InvalidRequestError.of([fault])
            found.append(position)
    return tuple(sorted(found, key=list(Position).index))


_FALLBACK: Final = "probe.fallback_positions"


def _templates(probe: match_pb2.Probe, spaces: TemplateSpaces) -> tuple[Template, ...]:
    """Return the templates of a probe."""
    faults: list[Fault] = []
    found = []
    for index, template in enumerate(probe.templates):
        with caught(faults, f"probe.templates[{index}]"):
            found.append(read_template(template, spaces))
    if faults:
        raise InvalidRequestError.of(faults)
    return tuple(found)


def read_duplicates(
    message: duplicate_pb2.FindDuplicatesRequest,
) -> tuple[Member, list[str]]:
    """Return the holder and the references of a FindDuplicatesRequest."""
    holder = acting_as(message.holder)
    references, most = list(message.references), limits.MAX_DUPLICATES_ASKED
    if not 1 <= len(references) <= most:
        told = f"{len(references)} references; must be 1 to {most}"
        fault = Fault(field="references", reason="WRONG_COUNT", message=told)
        raise InvalidRequestError.of([fault])
    faults = []
    longest = limits.MAX_REFERENCE_CHARACTERS
    for index, reference in enumerate(references):
        if not 1 <= len(reference) <= longest:
            told = f"{len(reference)} characters; must be 1 to {longest}"
            field = f"references[{index}]"
            faults.append(Fault(field=field, reason="WRONG_LENGTH", message=told))
    if faults:
        raise InvalidRequestError.of(faults)
    return holder, references


def write_duplicates(
    found: Sequence[Resembling],
) -> duplicate_pb2.FindDuplicatesResponse:
    """Return what some records resemble as the response."""
    return duplicate_pb2.FindDuplicatesResponse(
        results=[
            duplicate_pb2.DuplicateResult(
                outcome=duplicate_pb2.DuplicateOutcome.ValueType(
                    write_word(duplicate_pb2.DuplicateOutcome, each.comparison)
                ),
                others=each.others,
                other_count=each.count,
            )
            for each in found
        ]
    )


def write_match(
    results: Sequence[Answer | Refusal],
) -> Callable[[Sequence[bytes]], bytes]:
    """Return what stores the answer to one question, or raise its refusal."""
    (result,) = results
    if not isinstance(result, Answer):
        raise result
    message, largest = _answer(result), _answer(result, _SPARE)

    def complete(receipts: Sequence[bytes]) -> bytes:
        """Return the answer with its receipt as it is stored."""
        (message.receipt,) = (largest.receipt,) = receipts
        return _stored(message, largest)

    return complete


def write_batch(
    results: Sequence[Answer | Refusal],
) -> Callable[[Sequence[bytes]], bytes]:
    """Return what stores the results of a batch, refusals among them."""
    message, largest = _batch(results), _batch(results, _SPARE)

    def complete(receipts: Sequence[bytes]) -> bytes:
        """Return the results with the receipts of the answers as they are stored."""
        for each in (message, largest):
            answered = [r.answer for r in each.results if r.HasField("answer")]
            for answer, receipt in zip(answered, receipts, strict=True):
                answer.receipt = receipt
        return _stored(message, largest)

    return complete


def read_stored_match(stored: bytes) -> match_pb2.MatchResponse:
    """Return what `write_match` wrote, in the fixed size in which it is sent."""
    message = match_pb2.MatchResponse.FromString(_body(stored))
    _pad(message)
    return message


def read_stored_batch(stored: bytes) -> match_pb2.BatchMatchResponse:
    """Return what `write_batch` wrote, each answer in its fixed size."""
    message = match_pb2.BatchMatchResponse.FromString(_body(stored))
    for result in message.results:
        if result.HasField("answer"):
            _pad(result.answer)
    return message


# Answers are stored without the padding in which they are sent, a fifth or less of
# it; but in a size that does not depend on outcomes: as if each had a reference.
_SPARE: Final = bytes(limits.REFERENCE_BYTES)
_LENGTH_BYTES: Final = 4


def _stored(message: Message, largest: Message) -> bytes:
    """Return a message in the size of the largest that it could have been."""
    body = message.SerializeToString()
    length = len(body).to_bytes(_LENGTH_BYTES, "big")
    return length + body.ljust(largest.ByteSize(), b"\0")


def _body(stored: bytes) -> bytes:
    """Return the message in what `_stored` returned."""
    end = _LENGTH_BYTES + int.from_bytes(stored[:_LENGTH_BYTES], "big")
    return stored[_LENGTH_BYTES:end]


def _batch(
    results: Sequence[Answer | Refusal], spare: bytes = b""
) -> match_pb2.BatchMatchResponse:
    """Return the results of a batch as a message."""
    message = match_pb2.BatchMatchResponse()
    for result in results:
        if isinstance(result, Answer):
            message.results.add(answer=_answer(result, spare))
        else:
            refusal = match_pb2.ProbeRefusal(
                reason=result.reason, message=result.message
            )
            message.results.add(refusal=refusal)
    return message


def _answer(answer: Answer, spare: bytes = b"") -> match_pb2.MatchResponse:
    """Return an answer as a message, `spare` in the place of missing references."""
    message = match_pb2.MatchResponse(
        regional_outcome=_outcome(answer.regional),
        receipt_status=match_pb2.RECEIPT_STATUS_ISSUED,
        fallback_positions=[
            template_pb2.Position.ValueType(write_word(template_pb2.Position, position))
            for position in answer.fallback
        ],
    )
    for named in answer.holders:
        message.answers.add(
            holder=named.holder.code,
            outcome=_outcome(named.outcome),
            reference=named.reference or spare,
        )
    return message


# A field of 128 to 16,383 bytes is written as one byte of tag and two of length.
_PADDING_OVERHEAD: Final = 3


def _pad(message: match_pb2.MatchResponse) -> None:
    """Bring the receipt of an answer, and then its encoding, to their fixed sizes."""
    if message.receipt:  # there is none from before there was a log
        message.receipt = fill(message.receipt)
    room = limits.MATCH_RESPONSE_BYTES - message.ByteSize() - _PADDING_OVERHEAD
    message.padding = bytes(max(room, 0))
    if message.ByteSize() != limits.MATCH_RESPONSE_BYTES:
        raise DefectError("ANSWER_SIZE", "an answer does not have the fixed size")


def _outcome(outcome: Outcome) -> match_pb2.Outcome.ValueType:
    """Return the number of an outcome."""
    return match_pb2.Outcome.ValueType(write_word(match_pb2.Outcome, outcome))
