"""Responses to searches."""

from __future__ import annotations

from biometrics.client.responses.times import read_day
from biometrics.client.results.searching import (
    HolderAnswer,
    MatchAnswer,
    Outcome,
    ProbeRefusal,
    SpaceInfo,
)
from biometrics.client.words import word_of, words_of
from biometrics.v1 import match_pb2, space_pb2, template_pb2


def read_answer(message: match_pb2.MatchResponse) -> MatchAnswer:
    """Return the answer to one search."""
    return MatchAnswer(
        regional=_outcome(message.regional_outcome),
        holders=tuple(
            HolderAnswer(
                holder=answer.holder,
                outcome=_outcome(answer.outcome),
                reference=answer.reference.hex(),
            )
            for answer in message.answers
        ),
        receipt_status=word_of(match_pb2.ReceiptStatus, message.receipt_status),
        receipt=message.receipt.decode(errors="replace"),
        fallback_positions=words_of(template_pb2.Position, message.fallback_positions),
    )


def read_batch(
    message: match_pb2.BatchMatchResponse,
) -> tuple[MatchAnswer | ProbeRefusal, ...]:
    """Return one result a probe, in the order of the request."""
    return tuple(
        read_answer(result.answer)
        if result.HasField("answer")
        else ProbeRefusal(reason=result.refusal.reason, message=result.refusal.message)
        for result in message.results
    )


def _outcome(number: int) -> Outcome:
    """Return an outcome; one that this version does not know is `UNKNOWN`."""
    return Outcome(word_of(match_pb2.Outcome, number) or Outcome.UNKNOWN)


def read_spaces(message: space_pb2.ListSpacesResponse) -> tuple[SpaceInfo, ...]:
    """Return the template spaces of the exchange."""
    return tuple(
        SpaceInfo(
            name=space.name,
            modality=word_of(template_pb2.Modality, space.modality),
            extractor=space.extractor,
            extractor_version=space.extractor_version,
            positions=words_of(template_pb2.Position, space.positions),
            dimension=space.dimension,
            kind=word_of(space_pb2.Kind, space.kind) or "vector",  # as all once were
            data_type=word_of(template_pb2.DataType, space.data_type),
            metric=word_of(space_pb2.Metric, space.metric),
            normalisation=word_of(space_pb2.Normalisation, space.normalisation),
            quality_scale=space.quality_scale,
            identity=space.identity,
            threshold_basis=word_of(space_pb2.ThresholdBasis, space.threshold_basis),
            calibrated=read_day(space.calibration_day),
            calibration_sha256=space.calibration_sha256,
            established=words_of(space_pb2.FpirClass, space.established_fpir_classes),
            is_fused=space.is_fused,
            least_quality={
                word_of(template_pb2.Position, least.position): least.quality
                for least in space.least_qualities
            },
        )
        for space in message.spaces
    )
