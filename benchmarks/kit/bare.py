"""`biometrics serve` without a log and receipts: what benchmarks compare with.

The product has no setting for it. It is a program for `serving` of
`benchmarks.kit.exchange`.
"""

from __future__ import annotations

import sys

from biometrics.audit import ReceiptIssuer
from biometrics.cli import main
from biometrics.store import Appended
from biometrics.store.log import Log


def append(*_: object) -> Appended:
    """Append nothing."""
    return Appended(None, 0, "1")  # type: ignore[arg-type]


def issue(*_: object, items: tuple[bytes, ...], **__: object) -> list[bytes]:
    """Return no receipt for each answer."""
    return [b""] * len(items)


if __name__ == "__main__":
    Log.append = append  # type: ignore[method-assign, assignment]
    ReceiptIssuer.issue = issue  # type: ignore[method-assign, assignment]
    main(sys.argv[1:])
