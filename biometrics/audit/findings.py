"""What is said of a log that is not as it must be.

The same words wherever it is found: in an export that is made or verified, by a
witness, or by the exchange.
"""

from __future__ import annotations

from biometrics.errors import InvalidRequestError


def other_log(one: str, other: str) -> InvalidRequestError:
    """Return the error of what is of two logs."""
    return InvalidRequestError(
        "OTHER_LOG",
        f"`{one}` and `{other}` are two logs. A number at the end says that the"
        " exchange was restored from a backup, and began another log with what that"
        " had: keep both exports, and ask for what became of the rest",
    )


def rolled_back(seen: int, size: int) -> InvalidRequestError:
    """Return the error of a log that has grown smaller."""
    return InvalidRequestError(
        "ROLLED_BACK",
        f"{seen} leaves were seen, and now there are {size}: the log was rolled back;"
        " keep both checkpoints, which prove it",
    )


def behind(other: int, size: int) -> InvalidRequestError:
    """Return the error of a checkpoint that goes on beyond the export."""
    return InvalidRequestError(
        "CHECKPOINT_BEHIND",
        f"is of {other} leaves, and the export has {size}: export again. If the"
        " exchange has no more for you, it shows others another log",
    )


def forked(size: int) -> InvalidRequestError:
    """Return the error of a log that has another beginning."""
    return InvalidRequestError(
        "FORKED",
        f"the first {size} leaves have another root than was seen: the log shows"
        " different histories; keep both checkpoints, which prove it",
    )


def kept_proof() -> InvalidRequestError:
    """Return the error of a log that was proved to have shown two histories."""
    return InvalidRequestError(
        "TWO_HISTORIES",
        "is the proof that the log has signed two histories: keep it, and show it to"
        " the other members, who check it by `biometrics audit misbehaviour`",
    )


def misnamed(origin: str) -> InvalidRequestError:
    """Return the error of a restored log that is not the one of its name."""
    return InvalidRequestError(
        "FOREIGN_LOG",
        f"`{origin}` is named by the first leaf after a restore, which is not in it: it"
        " is another log under this name",
    )


def withheld() -> InvalidRequestError:
    """Return the error of an entry whose key nobody got, behind others that open.

    What is sealed to nobody fills a gap, whatever is in it.
    """
    return InvalidRequestError(
        "KEY_WITHHELD",
        "it is sealed to nobody, and entries before it were to your auditor: the"
        " exchange no longer has your auditor's key, or hides an entry; ask",
    )
