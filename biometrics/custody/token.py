"""Key-encryption keys on a PKCS#11 token, which never leave it.

The token seals a gallery key by AES-256-GCM, its context as associated data. For each
key that is wrapped or unwrapped a session is opened and closed: that is rare, nothing
is held of the token, and one that was removed and put back is found again.

Source: OASIS, "PKCS #11 Specification", version 3.1, AES-GCM.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from biometrics.custody.owned import read_owned
from biometrics.custody.xaes import unopened
from biometrics.errors import ConfigurationError, GalleryLockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NONCE_BYTES: Final = 12
_TAG_BITS: Final = 128
_KEY_BITS: Final = 256
# The login is the process's and not the session's, so one session at a time.
_ONE_AT_A_TIME: Final = threading.Lock()


class TokenKeyProvider:
    """A key-encryption key on a token; it is at hand while the token is."""

    def __init__(
        self,
        *,
        module: Path,
        token: str,
        label: str,
        pin_file: Path,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Load the token's module.

        Args:
            module: shared library of the token's maker.
            token: label of the token.
            label: of the key on it: AES, 256 bits, sensitive and not extractable.
            pin_file: holds the user's PIN, and only its owner can read it.
            random_bytes: where nonces come from.

        Raises:
            ConfigurationError: the extra `pkcs11` is not installed, or the module is
                none.
        """
        try:
            import pkcs11  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ConfigurationError(
                "EXTRA_MISSING",
                "a key on a PKCS#11 token needs the extra `pkcs11`: `pip install"
                " 'regional-biometrics-exchange[pkcs11]'`",
            ) from error
        self._pkcs11 = pkcs11
        self._token = token
        self._label = label
        self._pin_file = pin_file
        self._random_bytes = random_bytes
        try:
            with _ONE_AT_A_TIME:
                self._library = pkcs11.lib(str(module))
        except (pkcs11.PKCS11Error, RuntimeError) as error:
            raise ConfigurationError(
                "NOT_A_PKCS11_MODULE",
                f"`{module}` cannot be used as a PKCS#11 module ({_told(error)}); name"
                " the shared library of the token's maker in `module-path`",
            ) from error

    def __repr__(self) -> str:
        """Return where the key is."""
        return f"TokenKeyProvider(token={self._token!r}, label={self._label!r})"

    def check(self) -> None:
        """Return if the key is at hand.

        Raises:
            GalleryLockedError: the token is not there, does not take the PIN, or has no
                such key.
        """
        with self._key():
            pass

    def drop(self) -> None:
        """Nothing of the token is held."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return a key, sealed by the token and bound to the context.

        Raises:
            GalleryLockedError: the key-encryption key is not at hand.
        """
        nonce = self._random_bytes(_NONCE_BYTES)
        with self._key() as kek:
            return nonce + bytes(kek.encrypt(key, **self._gcm(nonce, context)))

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return a key that `wrap` wrapped.

        Raises:
            GalleryLockedError: the key-encryption key is not at hand.
            SealError: damaged, wrapped by another key or in another context.
        """
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        if len(sealed) * 8 <= _TAG_BITS:
            raise unopened("it is too short")
        with self._key() as kek:
            try:
                return bytes(kek.decrypt(sealed, **self._gcm(nonce, context)))
            except self._pkcs11.PKCS11Error as error:
                # Tokens do not agree on what a broken seal is called. If the key is
                # there still, it was that.
                self._refuse_unfit(kek)
                raise unopened("its seal is broken") from error

    @contextmanager
    def _key(self) -> Iterator[Any]:
        """Yield the key, for as long as a session lasts."""
        try:
            pin = read_owned(self._pin_file, "PIN file").decode("utf-8", "replace")
        except ConfigurationError as error:
            raise GalleryLockedError("KEY_NOT_AT_HAND", error.message) from error
        with _ONE_AT_A_TIME:
            try:
                with self._session(pin.strip()) as session:
                    key = session.get_key(
                        object_class=self._pkcs11.ObjectClass.SECRET_KEY,
                        label=self._label,
                    )
                    self._refuse_unfit(key)
                    yield key
            except self._pkcs11.PKCS11Error as error:
                raise GalleryLockedError(
                    "KEY_NOT_AT_HAND",
                    f"the key `{self._label}` on the token `{self._token}` is not at"
                    f" hand ({_told(error)}); see that the token is there, has that key"
                    f" once, and takes the PIN in `{self._pin_file}`",
                ) from error

    def _session(self, pin: str) -> Any:  # noqa: ANN401 - of an extra
        """Return a session on the token, also on one that was away for a while."""
        try:
            return self._library.get_token(token_label=self._token).open(user_pin=pin)
        except self._pkcs11.exceptions.PinIncorrect:
            raise  # once more, and the token might lock itself
        except self._pkcs11.PKCS11Error:
            self._library.reinitialize()
            return self._library.get_token(token_label=self._token).open(user_pin=pin)

    def _refuse_unfit(self, key: Any) -> None:  # noqa: ANN401 - of an extra
        """Refuse a key that could be read off its token, or is none for this."""
        attribute = self._pkcs11.Attribute
        is_fit = (
            key.key_type == self._pkcs11.KeyType.AES
            and key.key_length == _KEY_BITS
            and key[attribute.SENSITIVE]
            and not key[attribute.EXTRACTABLE]
        )
        if not is_fit:
            raise GalleryLockedError(
                "KEY_UNFIT",
                f"the key `{self._label}` on the token `{self._token}` must be of AES"
                " with 256 bits, sensitive and not extractable; make another one",
            )

    def _gcm(self, nonce: bytes, context: bytes) -> dict[str, Any]:
        """Return the mechanism by which keys are sealed."""
        parameters = self._pkcs11.GCMParams(nonce, aad=context, tag_bits=_TAG_BITS)
        return {
            "mechanism": self._pkcs11.Mechanism.AES_GCM,
            "mechanism_param": parameters,
        }


def _told(error: Exception) -> str:
    """Return what a library says, which is often only the name of its error."""
    return f"{type(error).__name__} {error}".strip()
