"""Responses about the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.client.results.log import CheckpointInfo, EntryKeyInfo, OwnEntryInfo

if TYPE_CHECKING:
    from biometrics.v1 import audit_pb2


def read_checkpoint(message: audit_pb2.GetCheckpointResponse) -> CheckpointInfo:
    """Return the newest checkpoint of the log."""
    return CheckpointInfo(
        note=message.checkpoint,
        verifier_key=message.verifier_key,
        offered=message.offered,
        cosigned=tuple(message.cosigned),
    )


def read_own_entries(
    message: audit_pb2.ListOwnEntriesResponse,
) -> tuple[OwnEntryInfo, ...]:
    """Return entries of one's own, sealed."""
    return tuple(
        OwnEntryInfo(
            leaf_index=entry.leaf_index,
            slot=entry.slot,
            path=tuple(entry.path),
            key_id=entry.key_id,
            sealed=entry.sealed,
        )
        for entry in message.entries
    )


def read_entry_keys(
    message: audit_pb2.ListEntryKeysResponse,
) -> tuple[EntryKeyInfo, ...]:
    """Return one page of keys of one's own entries."""
    return tuple(
        EntryKeyInfo(key_id=key.key_id, hour=key.hour, handed=key.handed)
        for key in message.keys
    )
