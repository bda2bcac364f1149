"""`serve --check`: every file that a start would read, and nothing started.

Of the database: its schema, whether keys fit, and one template of each gallery. A row
that is missing among many is found by the start, which counts them, and one that is
damaged by the first search that it might match; `examination` reads and opens them all,
while no exchange has the database.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from biometrics.clock import SystemClock
from biometrics.custody import FileKeyProvider, open_index_key, open_keys
from biometrics.errors import ConfigurationError, GalleryLockedError, SealError
from biometrics.server.config import read_config
from biometrics.server.in_force import InForce
from biometrics.server.methods import SERVICES, check_table
from biometrics.server.policy import (
    read_auditors,
    read_calibrated,
    read_witnesses,
    unaudited,
)
from biometrics.server.rates import Rates
from biometrics.server.site import refuse_sets, refuse_without_ray
from biometrics.server.stages import begin_tracing
from biometrics.server.tls import read_trust, trust_notes
from biometrics.signing import read_signers
from biometrics.store import inspect_store
from matcher.index import binding_of
from matcher.joining import refuse_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from biometrics.custody import GalleryKey, KeyProvider
    from biometrics.members import Member
    from biometrics.server.config import Config
    from biometrics.signing import Signers
    from biometrics.store import Inspection
    from biometrics.templates import TemplateSpaces


def check(path: Path) -> list[str]:
    """Validate every file that a start would read, and start nothing.

    Returns:
        What a start would go on without, such as the key of a member.

    Raises:
        ConfigurationError: with every fault of the first file that has any.
    """
    config = read_config(path)
    spaces, calibrations = read_calibrated(config.spaces, config.calibrations)
    if config.cluster is not None:
        refuse_without_ray()
        refuse_cluster(config.cluster.address)
        refuse_sets(spaces)
    signers = read_signers(config.signers)
    check_table(SERVICES)
    read_trust(config, SystemClock().now())
    if (tracing := begin_tracing(config.traces)) is not None:
        tracing.stop()
    exchange = FileKeyProvider(config.exchange_key)
    with inspect_store(config.database) as stored:
        if stored is not None:
            _check_index_keys(config, stored, exchange)
        held = stored.journal.templates_by_space() if stored else {}
        rates = Rates(spaces, calibrations, lambda space: held.get(space, 0))
        auditors = read_auditors(config.auditors)
        read_witnesses(config.witnesses)
        return [
            *trust_notes(config),
            *unaudited(config.present, auditors),
            *rates.outgrown(),
            *_agreement_notes(config, stored, signers, rates),
            *_gallery_notes(config, stored, spaces),
        ]


def _agreement_notes(
    config: Config, stored: Inspection | None, signers: Signers, rates: Rates
) -> list[str]:
    """Return a note for each agreement, or part of it, that would not count."""
    in_force = InForce(
        config.agreements,
        members=config.present,
        signers=signers,
        keep=lambda _row: None,
        clock=SystemClock(),
        unkept=rates.unkept,
    )
    told = in_force.restore(stored.agreements.last() if stored else [])
    return [each.text for each in (*told, *in_force.look()) if each.is_warning]


def wrong_exchange_key(path: Path) -> ConfigurationError:
    """Return the error of a key that is not the one that the database was made with."""
    return ConfigurationError(
        "WRONG_EXCHANGE_KEY",
        f"`{path}` does not open the keys in the database; restore the key that the"
        " database was made with, or the database that belongs to this key",
    )


def _check_index_keys(
    config: Config, stored: Inspection, exchange: KeyProvider
) -> None:
    """Refuse an exchange's key that does not open the index keys in the database."""
    for member in config.members:
        wrapped = stored.keys.index_key(member)
        if wrapped is None:
            continue
        try:
            open_index_key(member, wrapped, exchange, secrets.token_bytes)
        except SealError as error:
            raise wrong_exchange_key(config.exchange_key) from error


def _gallery_notes(
    config: Config, stored: Inspection | None, spaces: TemplateSpaces
) -> Iterator[str]:
    """Yield a note for each gallery that could not be searched."""
    closed = stored.custody.closed() if stored else {}
    for member in config.present:
        source = config.members[member]
        if member in closed:
            yield f"galleries of {member} stay closed: it has {closed[member]} them"
            continue
        rows = stored.keys.gallery_keys(member) if stored else []
        try:
            provider = source.open(secrets.token_bytes)
            provider.check()
            keys = open_keys(rows, provider)
        except (ConfigurationError, GalleryLockedError, SealError) as error:
            yield f"galleries of {member} would stay locked: {error.message}"
            continue
        if stored is not None:
            yield from _space_notes(member, stored, keys, spaces)


def _space_notes(
    member: Member, stored: Inspection, keys: list[GalleryKey], spaces: TemplateSpaces
) -> Iterator[str]:
    """Yield a note for each gallery of a member that is not of today's spaces."""
    numbered = {key.key_id: key for key in keys}
    for row in stored.register.galleries(member):
        gallery = f"gallery of {member} in `{row.space}` would be UNAVAILABLE"
        if row.space not in spaces:
            yield f"{gallery}: there is no template space of that name"
            continue
        number = stored.register.first_template(member, row.space)
        for template in stored.journal.templates([number] if number else []).values():
            buffer = bytearray(spaces.named(row.space).template_bytes)
            try:
                numbered[template.sealed.key_id].open_into(
                    binding_of(template, spaces), template.sealed, buffer
                )
            except (KeyError, SealError):
                yield (
                    f"{gallery}: its first template does not open; it is damaged, or"
                    " the definition of the space was changed"
                )
            buffer[:] = bytes(len(buffer))
