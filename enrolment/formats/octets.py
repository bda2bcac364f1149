"""Bytes that are read from front to back, field by field, and never past their end."""

from __future__ import annotations

from biometrics.errors import Fault, InvalidRequestError


class Octets:
    """Bytes, and how far they are read."""

    def __init__(self, data: bytes) -> None:
        """Begin before the first byte."""
        self._data = data
        self.offset = 0

    def take(self, count: int, field: str) -> bytes:
        """Return the next bytes.

        Raises:
            InvalidRequestError: there are fewer.
        """
        end = self.offset + count
        self.check(
            field,
            end <= len(self._data),
            f"ends {end - len(self._data)} bytes behind the record",
        )
        taken = self._data[self.offset : end]
        self.offset = end
        return taken

    def uint(self, size: int, field: str) -> int:
        """Return the next unsigned, big-endian integer of `size` bytes."""
        return int.from_bytes(self.take(size, field), "big")

    def check(self, field: str, sound: bool, message: str) -> None:  # noqa: FBT001 - reads as `assert`
        """Refuse a field that is not sound.

        Raises:
            InvalidRequestError: it is not; the message says where it was.
        """
        if not sound:
            told = f"{message} (at byte {self.offset})"
            fault = Fault(field=field, reason="WRONG_FIELD", message=told)
            raise InvalidRequestError.of([fault])

    def check_end(self) -> None:
        """Refuse bytes that are left over."""
        left = len(self._data) - self.offset
        self.check("end", left == 0, f"{left} bytes are left over")
