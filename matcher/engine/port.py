"""What the matcher asks of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy as np
    from numpy.typing import NDArray


class Engine(Protocol):
    """Galleries of unit vectors, searched by inner product; safe for many threads.

    An engine MUST return every vector whose exact inner product with the probe is
    at or above the threshold, and MAY return others: the caller decides exactly.
    It MUST NOT return a vector whose removal has returned.
    """

    def add(
        self, gallery: Hashable, ids: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> None:
        """Add vectors; on return every later search sees them.

        Args:
            gallery: which gallery; made on first use.
            ids: (n,), each new to the gallery.
            vectors: (n, d), of unit length.
        """

    def remove(self, gallery: Hashable, ids: NDArray[np.int64]) -> None:
        """Remove vectors; on return no search finds them. Unknown ids are ignored."""

    def drop(self, gallery: Hashable) -> None:
        """Forget a gallery and all its vectors."""

    def count(self, gallery: Hashable) -> int:
        """Return the number of vectors in a gallery; 0 if there is none."""

    def holds(self, gallery: Hashable, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of the ids a search of the gallery can find now."""

    def search(
        self, gallery: Hashable, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return, for each probe, the ids of its candidates, in no order.

        Args:
            gallery: which gallery; one that does not exist has no candidates.
            probes: (q, d), of unit length.
            threshold: exact inner product from which a vector must be returned.
        """
