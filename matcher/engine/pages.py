"""Large pages for what is read from end to end.

A scan reads 64 bytes of each row: of a million rows, far more pages of 4 KiB than a
processor keeps addresses of, and a lone probe waits for those. NumPy asks for large
pages by itself, as FAISS does not.
"""

from __future__ import annotations

import ctypes
import mmap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_PAGE_BYTES: Final = 2 << 20
_LIBC: Final = ctypes.CDLL(None)
_WANTED: Final = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux has it, others do not
_AT_ONCE: Final = 25  # MADV_COLLAPSE, of Linux 6.1; an older one takes its time


def ask_for_large_pages(arrays: Sequence[NDArray[Any]]) -> None:
    """Have arrays lie in large pages, if the system gives any.

    What else is in such a page stays as it is.
    """
    if _WANTED is None:
        return
    # All are asked for first: a page that reaches into one not asked for is not made.
    for advice in (_WANTED, _AT_ONCE):
        for array in arrays:
            start = array.ctypes.data // _PAGE_BYTES * _PAGE_BYTES
            end = -(-(array.ctypes.data + array.nbytes) // _PAGE_BYTES) * _PAGE_BYTES
            # Advice: where it is not taken, all is as it was.
            _LIBC.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), advice)
