"""Makes the galleries of one holder anew, beside those that are searched.

They are filled apart, from what is kept on disk or from nothing, page by page like the
index at a start; and once they have caught up with the index it adopts them whole,
between two changes. Until then searches, the follower and other holders' galleries
notice nothing but the work.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from biometrics import limits
from matcher.galleries import GalleryName

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.members import Member
    from biometrics.store import JournalReader, RecordReader
    from matcher.index import Index
    from matcher.segments import SegmentFiles

_MOST_COUNTS: Final = 8  # one that withdrawals disturb is made again


class Loading:
    """Loads the galleries of a holder; each call blocks, on any thread."""

    def __init__(
        self,
        *,
        index: Index,
        journal: JournalReader,
        register: RecordReader,
        files: SegmentFiles,
        is_whole: bool = True,
        has_read: Callable[[], None] = lambda: None,
    ) -> None:
        """Load from `journal` and `files` for `index`, as `register` counts.

        `has_read` is called before the index adopts what was read.

        Where galleries are in several places, each has fewer than were counted, and
        its index goes where it is told: `is_whole` says that they are in this one
        alone. Else no more is made than what the index is at, since whoever would tell
        it to go on may wait for this.
        """
        self._index = index
        self._journal = journal
        self._register = register
        self._files = files
        self._is_whole = is_whole
        self._has_read = has_read

    def load(
        self, holder: Member, *, is_wanted: Callable[[], bool], done: Callable[[], None]
    ) -> bool:
        """Load the galleries of a holder from what is kept on disk.

        Args:
            holder: whose; it is unlocked.
            is_wanted: asked time and again; where it says no, nothing is adopted.
            done: called while the index holds still, once it has adopted them.

        Returns:
            Whether that was done. It was not where it is not wanted, or where what is
            on disk is of a later moment than the index, or something in the index of a
            later one than it is at: it has to go there first.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
            StorageError: the journal cannot be read now.
        """
        made = self._empty(holder)
        made.restore(self._files, self._journal)
        self._skip(holder, made)
        return self._finish(holder, made, is_wanted, done)

    def remake(self, holder: Member, *, is_wanted: Callable[[], bool]) -> bool:
        """Code the galleries of a holder by their newest keys, if they are not yet.

        Meanwhile they are searched as they were.

        Args:
            holder: whose; it is unlocked and loaded.
            is_wanted: as of `load`.

        Returns:
            Whether they are.

        Raises:
            GalleryLockedError: the holder was locked meanwhile.
            StorageError: the journal cannot be read now.
        """
        if not self._index.has_older_codes(holder):
            return True
        made = self._empty(holder)
        self._skip(holder, made)
        return self._finish(holder, made, is_wanted, lambda: None)

    def _empty(self, holder: Member) -> Index:
        """Return an index of the holder's galleries, with nothing in it."""
        return self._index.beside(holder, self._register.spaces(holder))

    def _skip(self, holder: Member, made: Index) -> None:
        """Pass over what others did before the holder's first record."""
        if not made.position:
            end = self._end()  # read before it is asked who is there
            first = self._register.first_record(holder)
            made.skip_to(end if first is None else min(end, first - 1))

    def _end(self) -> int:
        """Return up to where galleries are filled."""
        return self._journal.end() if self._is_whole else self._index.position

    def _finish(
        self,
        holder: Member,
        made: Index,
        is_wanted: Callable[[], bool],
        done: Callable[[], None],
    ) -> bool:
        """Fill an index up to where the other is, and hand it over, if it can be."""
        if self._is_whole:
            # 1. Everything that is durable, and as much as was counted.
            gone = self._fill_counted(holder, made, is_wanted)
        else:
            gone = self._follow(holder, made, self._end(), is_wanted)
        while is_wanted():
            # 2. The last few changes, while no other is applied.
            with self._index.held() as position:
                if max(made.reaching, self._index.ahead) <= position:
                    gone = max(gone, self._follow(holder, made, position, is_wanted))
                    if gone <= position or not self._is_whole:
                        self._has_read()
                        # 3. From here on the index follows them by itself.
                        if is_here := is_wanted():
                            self._index.adopt(made)
                            done()
                        return is_here
            if not self._is_whole:
                break
            time.sleep(limits.LOADING_PAUSE_SECONDS)
        return False

    def _fill_counted(
        self, holder: Member, made: Index, is_wanted: Callable[[], bool]
    ) -> int:
        """Fill an index up to the journal's end; a lost row makes a gallery damaged.

        Returns:
            What `_follow` does.
        """
        tries = gone = 0
        while True:
            end, counts = self._register.counted(holder)
            gone = max(gone, self._follow(holder, made, end, is_wanted))
            tries += 1
            if made.is_of(counts) or not is_wanted():
                return gone
            if tries == _MOST_COUNTS:
                break
        made.verify(
            {GalleryName(holder, space): count for space, count in counts.items()}
        )
        return gone

    def _follow(
        self, holder: Member, made: Index, end: int, is_wanted: Callable[[], bool]
    ) -> int:
        """Bring changes up to `end` into an index, a page at a time.

        Returns:
            Position of the journal by which somebody was replaced who was gone before
            it was read: until the other index has followed to there, it has who was
            there before, and this one nobody. 0 if nobody was.
        """
        gone = 0
        while made.position < end and is_wanted():
            most = min(limits.LOADING_PAGE_CHANGES, end - made.position)
            changes = self._journal.changes(made.position, most, holder=holder)
            if not made.learn(changes):
                # Under a key that went since they were read.
                changes = self._journal.changes(made.position, most, holder=holder)
                made.learn(changes)
            if any(each.is_gone and each.member == holder for each in changes):
                gone = self._journal.end()
            made.apply(changes)
            time.sleep(limits.LOADING_PAUSE_SECONDS)
        return gone
