"""What requests contain, made of what a caller gives.

What is found to be wrong is appended to `faults`, under where it stands in the request,
so that a caller is told of everything at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.client.inputs import Probe
from biometrics.client.words import number_of, unspecified
from biometrics.errors import Fault, InvalidRequestError
from biometrics.v1 import enrolment_pb2, match_pb2, template_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike

    from biometrics.client.inputs import Record, Template
    from biometrics.client.words import NumberT, Words

_SINGLE: Final = np.dtype("<f4")
_TENTHS: Final = 10
_CIRCLE: Final = 1 << 16


def number_given(
    words: Words[NumberT], word: str, where: str, faults: list[Fault]
) -> NumberT:
    """Return the number of a word, 0 and a fault if it is none of them."""
    try:
        return number_of(words, word, where)
    except InvalidRequestError as error:
        faults.extend(error.faults)
        return unspecified(words)


def member_codes(
    codes: Sequence[str], where: str, faults: list[Fault]
) -> Sequence[str]:
    """Return member codes; append the fault of one that is taken for several."""
    if not isinstance(codes, str):
        return codes
    told = f'must be several codes, such as `("{codes[:3]}",)`; this is one text'
    faults.append(Fault(field=where, reason="NOT_A_LIST", message=told))
    return ()


def probe_message(
    given: Template | Probe, where: str, faults: list[Fault]
) -> match_pb2.Probe:
    """Return a probe; append what is wrong with it."""
    probe = given if isinstance(given, Probe) else Probe(template=given)
    fallback = f"{where}.fallback_positions"
    message = match_pb2.Probe(
        excluded_holders=member_codes(
            probe.excluded_holders, f"{where}.excluded_holders", faults
        ),
        fallback_positions=[
            number_given(template_pb2.Position, word, f"{fallback}[{index}]", faults)
            for index, word in enumerate(probe.fallback_positions)
        ],
    )
    own = _write_templates((probe.template, *probe.further), message.templates.add)
    faults.extend(fault.under(where) for fault in own)
    return message


# A message that is given to another is copied, serialised and parsed again: so what a
# record has is written where it belongs.
def write_record(record: Record, message: enrolment_pb2.Record) -> list[Fault]:
    """Write a record into its message; return what is wrong with it."""
    message.reference = record.reference
    message.legal_basis = record.legal_basis
    faults = _write_templates(record.templates, message.templates.add)
    message.excluded_requesters.extend(
        member_codes(record.excluded, "excluded_requesters", faults)
    )
    if record.expires_at is not None:
        if record.expires_at.tzinfo is None:
            faults.append(
                Fault(
                    field="expire_time",
                    reason="NO_TIME_ZONE",
                    message="the moment has no time zone; give one, such as UTC",
                )
            )
        else:
            message.expire_time.FromDatetime(record.expires_at)
    return faults


def _write_templates(
    templates: Sequence[Template], add: Callable[[], template_pb2.Template]
) -> list[Fault]:
    """Write templates into the messages that `add` adds; return what is wrong."""
    return [
        fault.under(f"templates[{index}]")
        for index, template in enumerate(templates)
        for fault in write_template(template, add())
    ]


def write_template(template: Template, message: template_pb2.Template) -> list[Fault]:
    """Write a template into its message; return what is wrong with it."""
    faults: list[Fault] = []
    message.space = template.space
    message.position = number_given(
        template_pb2.Position, template.position, "position", faults
    )
    try:
        message.data_type, message.data = _data(template)
    except InvalidRequestError as error:
        faults.extend(error.faults)
    if template.quality is not None:
        if 0 <= template.quality <= limits.MAX_QUALITY:
            message.quality = template.quality
        else:
            faults.append(
                Fault(
                    field="quality",
                    reason="WRONG_QUALITY",
                    message=f"must be 0 to {limits.MAX_QUALITY}, or left out",
                )
            )
    return faults


def _data(template: Template) -> tuple[template_pb2.DataType.ValueType, bytes]:
    """Return how a template is written, and its bytes.

    Raises:
        InvalidRequestError: it is neither a vector nor minutiae.
    """
    if template.minutiae is not None and template.vector is None:
        data = minutiae_bytes(template.minutiae)
        return template_pb2.DATA_TYPE_MINUTIAE, data
    if template.vector is not None and template.minutiae is None:
        return template_pb2.DATA_TYPE_FLOAT32, vector_bytes(template.vector)
    message = (
        "a template is a vector or minutiae, as its space has it: give one of them"
    )
    fault = Fault(field="data", reason="WRONG_KIND", message=message)
    raise InvalidRequestError.of([fault])


def vector_bytes(vector: ArrayLike) -> bytes:
    """Return a vector as little-endian float32.

    Args:
        vector: one-dimensional, of any floating-point type.

    Raises:
        InvalidRequestError: it is none. Whether it has the space's dimension and
            is finite is for the exchange to say.
    """
    array = np.asarray(vector)
    if array.dtype.kind != "f":
        reason, message = (
            "WRONG_DTYPE",
            f"a vector is of floating-point numbers, not of `{array.dtype}`",
        )
    elif array.ndim != 1:
        reason, message = (
            "WRONG_SHAPE",
            f"a vector has one dimension, not the shape `{array.shape}`; pass one row",
        )
    else:
        if array.dtype == _SINGLE:
            return array.tobytes()
        # A float64 beyond float32 becomes infinite, which the exchange refuses.
        with np.errstate(over="ignore"):
            return array.astype(_SINGLE).tobytes()
    raise InvalidRequestError.of([Fault(field="data", reason=reason, message=message)])


def minutiae_bytes(minutiae: ArrayLike) -> bytes:
    """Return minutiae in the size that all have.

    Args:
        minutiae: (n, 3), see `Template`.

    Raises:
        InvalidRequestError: they are none. Whether they are enough is for the exchange
            to say.
    """
    array = np.asarray(minutiae, np.float64)
    most = limits.MAX_MINUTIAE
    if array.ndim != 2 or array.shape[1] != 3:  # noqa: PLR2004 - x, y, direction
        reason, message = (
            "WRONG_SHAPE",
            f"minutiae have the shape (n, 3), not `{array.shape}`",
        )
    elif len(array) > most:
        reason, message = "TOO_MANY_MINUTIAE", f"{len(array)} minutiae; at most {most}"
    elif not (
        np.isfinite(array).all()
        and (array[:, :2] >= 0).all()
        and (array[:, :2] <= limits.MAX_MINUTIA_PIXELS).all()
    ):
        reason = "WRONG_PLACE"
        message = (
            "every number must be finite, and every place 0 to"
            f" {limits.MAX_MINUTIA_PIXELS} pixels at 500 an inch from either edge"
        )
    else:
        rows = np.zeros((1 + most, 3), "<u2")
        rows[0, 0] = len(array)
        rows[1 : 1 + len(array), :2] = np.rint(array[:, :2] * _TENTHS)
        turns = np.rint(array[:, 2] % 360 / 360 * _CIRCLE)
        rows[1 : 1 + len(array), 2] = turns % _CIRCLE
        return rows.tobytes()
    raise InvalidRequestError.of([Fault(field="data", reason=reason, message=message)])
