"""Keys, and what is sealed under them. What opens what is drawn in `gallery`."""

from biometrics.custody.index import IndexKey
from biometrics.custody.keyring import KeyRows
from biometrics.custody.providers import FileKeyProvider, KeyProvider, create_key_file
from biometrics.custody.vault import Vault

__all__ = [
    "FileKeyProvider",
    "IndexKey",
    "KeyProvider",
    "KeyRows",
    "Vault",
    "create_key_file",
]
