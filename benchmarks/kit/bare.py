"""`biometrics serve` without a log and receipts: what benchmarks compare with.

The product has no setting for it. Run as a program it serves, as `serving` of
`benchmarks.kit.exchange` has it do.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from biometrics.audit import ReceiptIssuer
from biometrics.cli import main
from biometrics.demo import process
from biometrics.store import Appended
from biometrics.store.log import Log

if TYPE_CHECKING:
    from collections.abc import Iterator


def append(*_: object) -> Appended:
    """Append nothing."""
    return Appended(None, 0, 1)  # type: ignore[arg-type]


def issue(*_: object, items: tuple[bytes, ...], **__: object) -> list[bytes]:
    """Return no receipt for each answer."""
    return [b""] * len(items)


@contextmanager
def bare() -> Iterator[None]:
    """Have what is served meanwhile be bare."""
    served = process._SERVE  # noqa: SLF001 - there is no other way, on purpose
    process._SERVE = (sys.executable, "-m", __name__, *served[3:])  # type: ignore[misc]  # noqa: SLF001
    try:
        yield
    finally:
        process._SERVE = served  # type: ignore[misc]  # noqa: SLF001


if __name__ == "__main__":
    Log.append = append  # type: ignore[method-assign, assignment]
    ReceiptIssuer.issue = issue  # type: ignore[method-assign, assignment]
    main(sys.argv[1:])
