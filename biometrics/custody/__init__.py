"""Keys, and what is sealed under them. What opens what is drawn in `gallery`."""

from biometrics.custody.codes import CodesKey
from biometrics.custody.gallery import GalleryKey
from biometrics.custody.handed import NOT_AT_HAND, HandedKeyProvider
from biometrics.custody.index import IndexKey, open_index_key
from biometrics.custody.keyring import KeyRows, open_keys
from biometrics.custody.lent import LentKeys
from biometrics.custody.owned import KEY_FILE_UNREACHABLE
from biometrics.custody.providers import (
    FileKeyProvider,
    KeyProvider,
    create_key_file,
    read_key_file,
)
from biometrics.custody.sources import (
    HandedKey,
    KeyFile,
    KeySource,
    TokenKey,
    parse_source,
)
from biometrics.custody.vault import Vault

__all__ = [
    "KEY_FILE_UNREACHABLE",
    "NOT_AT_HAND",
    "CodesKey",
    "FileKeyProvider",
    "GalleryKey",
    "HandedKey",
    "HandedKeyProvider",
    "IndexKey",
    "KeyFile",
    "KeyProvider",
    "KeyRows",
    "KeySource",
    "LentKeys",
    "TokenKey",
    "Vault",
    "create_key_file",
    "open_index_key",
    "open_keys",
    "parse_source",
    "read_key_file",
]
