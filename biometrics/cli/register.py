"""`biometrics galleries register`: what a holder holds, who may match it, until when.

For whoever supervises the holder: counts for its auditor, and for its enroller a line
for each record as well.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Final

import typer

from biometrics.cli.output import plain, print_json, print_line, print_table
from biometrics.cli.session import JsonOption, ProfileOption, connect
from biometrics.client import (
    GalleryInfo,
    PermissionInfo,
    RecordInfo,
    RecordSummary,
    SpaceInfo,
)
from biometrics.errors import InvalidRequestError

_COLUMNS: Final = (
    *("reference", "templates", "enrolled_at", "expires_at", "replaced_at"),
    *("generation", "excluded", "protected_at", "legal_basis", "may_match"),
)


def register(
    context: typer.Context,
    *,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv",
            help="A line for each record instead, with its reference, as CSV: handle it"
            " as you handle the file that they were enrolled from.",
        ),
    ] = False,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
) -> None:
    """Show what you hold, who may match it today, and when it ends or ended.

    Who may match it is what the agreements in force say on this day, in UTC, with
    every clause weighed. A record may exclude some of them: `--csv` says of each record
    who is left.
    """
    if as_csv and as_json:
        raise InvalidRequestError(
            "ONE_FORM", "--csv: is another form than `--json`; give one of them"
        )
    with connect(context, profile) as exchange:
        permissions = exchange.permissions()
        spaces = exchange.spaces()
        if as_csv:
            _write_csv(exchange.records(), permissions, spaces)
            return
        galleries, summary = exchange.galleries(), exchange.summary()
    if as_json:
        print_json(_document(galleries, summary, permissions))
    else:
        _show(galleries, summary, permissions, spaces)


def _document(
    galleries: Iterable[GalleryInfo],
    summary: RecordSummary,
    permissions: Iterable[PermissionInfo],
) -> dict[str, object]:
    """Return the register for programs."""
    return {
        "galleries": [asdict(gallery) for gallery in galleries],
        "may_match": [asdict(permission) for permission in permissions],
        **asdict(summary),
    }


def _show(
    galleries: Iterable[GalleryInfo],
    summary: RecordSummary,
    permissions: Iterable[PermissionInfo],
    spaces: Iterable[SpaceInfo],
) -> None:
    """Print the register for people."""
    modalities = {space.name: space.modality for space in spaces}
    print_line(f"as of {summary.counted_at:%Y-%m-%d %H:%M:%S} UTC")
    _head("what is held")
    print_table(
        ("space", "modality", "records", "templates", "state"),
        [
            (g.space, modalities.get(g.space, ""), g.records, g.templates, g.state)
            for g in galleries
        ],
    )
    _head("who may match it today")
    print_table(
        ("requester", "modality", "level", "purposes"),
        _by_level(permissions),
        texts=("purposes",),
    )
    _head("when it expires")
    print_table(("when", "records"), _expiries(summary))
    _head("what is no longer there")
    print_table(
        ("reason", "month", "records"),
        [
            (reason, month, count)
            for reason, months in summary.disposed.items()
            for month, count in months.items()
        ],
    )


def _head(text: str) -> None:
    """Print the heading of a table."""
    print_line("")
    print_line(text)


def _by_level(permissions: Iterable[PermissionInfo]) -> list[tuple[object, ...]]:
    """Return a row for all purposes for which one requester learns as much."""
    rows: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for each in permissions:
        rows[each.requester, each.modality, each.level].append(each.purpose)
    return [(*row, tuple(purposes)) for row, purposes in rows.items()]


def _expiries(summary: RecordSummary) -> list[tuple[str, int]]:
    """Return rows of when records expire, those that have first."""
    counts = {
        "has expired": summary.expired,
        **summary.expiring,
        "later": summary.later,
        "never": summary.lasting,
    }
    return [(when, count) for when, count in counts.items() if count]


def _write_csv(
    records: Iterable[RecordInfo],
    permissions: Iterable[PermissionInfo],
    spaces: Iterable[SpaceInfo],
) -> None:
    """Write a line for each record; it is whole if the exit code is 0."""
    modalities = {space.name: space.modality for space in spaces}
    by_modality: defaultdict[str, list[PermissionInfo]] = defaultdict(list)
    for permission in permissions:
        by_modality[permission.modality].append(permission)
    lines = csv.writer(sys.stdout)
    lines.writerow(_COLUMNS)
    for record in records:
        lines.writerow(_cells(record, modalities, by_modality))


def _cells(
    record: RecordInfo,
    modalities: Mapping[str, str],
    by_modality: Mapping[str, Iterable[PermissionInfo]],
) -> list[str | int]:
    """Return the cells of a record."""
    held = sorted({modalities.get(each.space, "") for each in record.templates})
    return [
        record.reference,
        " ".join(f"{each.space}/{each.position}" for each in record.templates),
        plain(record.enrolled_at),
        *(
            "" if moment is None else plain(moment)
            for moment in (record.expires_at, record.replaced_at)
        ),
        record.generation,
        " ".join(record.excluded),
        "" if record.protected_at is None else plain(record.protected_at),
        record.legal_basis,
        " ".join(
            f"{each.requester}/{each.modality}/{each.purpose}/{each.level}"
            for modality in held
            for each in by_modality.get(modality, ())
            if each.requester not in record.excluded
        ),
    ]
