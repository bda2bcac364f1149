"""A PKCS#11 token in software, where Debian's `softhsm2` is installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

MODULE: Final = Path("/usr/lib/softhsm/libsofthsm2.so")
_UTILITY: Final = shutil.which("softhsm2-util")
_PIN: Final = "4711"
_SLOT: Final = ("--so-pin", "0815", "--pin", _PIN)

needs_softhsm = pytest.mark.skipif(
    _UTILITY is None
    or not MODULE.exists()
    or importlib.util.find_spec("pkcs11") is None,
    reason="needs SoftHSM (Debian's `softhsm2`) and the extra `pkcs11`",
)


class SoftToken:
    """A token; the module reads where it is once a process, and so there is one."""

    def __init__(self, folder: Path) -> None:
        """Make it in a folder."""
        assert _UTILITY is not None
        self.folder = folder
        self.pin_file = folder / "pin"
        self.pin_file.write_text(f"{_PIN}\n")
        self.pin_file.chmod(0o600)
        self._tokens = folder / "tokens"
        self._tokens.mkdir()
        settings = folder / "softhsm2.conf"
        settings.write_text(
            f"directories.tokendir = {self._tokens}\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(settings)
        made = [_UTILITY, "--init-token", "--free", "--label", "exchange", *_SLOT]
        subprocess.run(made, check=True, capture_output=True)

    def make(
        self, label: str, *, bits: int = 256, is_extractable: bool = False
    ) -> None:
        """Make a key on the token."""
        import pkcs11  # noqa: PLC0415 - an extra

        token = pkcs11.lib(str(MODULE)).get_token(token_label="exchange")
        attribute = pkcs11.Attribute
        with token.open(user_pin=_PIN, rw=True) as session:
            session.generate_key(
                pkcs11.KeyType.AES,
                bits,
                label=label,
                store=True,
                template={
                    attribute.SENSITIVE: not is_extractable,
                    attribute.EXTRACTABLE: is_extractable,
                },
            )

    def uri(self, label: str) -> str:
        """Return a key's URI, as for the settings."""
        return (
            f"pkcs11:token=exchange;object={label}"
            f"?module-path={MODULE}&pin-source=file:{self.pin_file}"
        )

    def remove(self) -> None:
        """Pull the token out."""
        self._tokens.rename(self.folder / "elsewhere")

    def put_back(self) -> None:
        """Put it back in."""
        (self.folder / "elsewhere").rename(self._tokens)
