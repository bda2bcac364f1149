"""The tables of `exchange.toml` as they are written, each checked for itself.

What they say together, and what else has to be there, `config` looks at.
"""

from enum import Enum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from biometrics import limits
from biometrics.custody import parse_source
from biometrics.errors import ConfigurationError
from biometrics.members import Member, Membership
from biometrics.server.identity import TRUST_DOMAIN
from biometrics.settings import (
    Address,
    FileName,
    Line,
    Settings,
    SettingsFile,
    Word,
    file_name,
    parsed_by,
)

_SECRETS: Final = frozenset({"password", "sslpassword", "oauth_client_secret"})


class EngineKind(Enum):
    """Where galleries are in memory."""

    LOCAL = "local"
    RAY = "ray"


def _trust_domain(text: str) -> str:
    """Refuse what cannot be the host of a SPIFFE ID."""
    if not TRUST_DOMAIN.fullmatch(text):
        raise PydanticCustomError(
            "WRONG_TRUST_DOMAIN",
            "must be a lower-case name such as `exchange.example`, without scheme,"
            " port or path",
        )
    return text


def _database(text: str) -> str:
    """Refuse what is neither the path of a file nor the URL of a database."""
    if "://" not in text:
        return file_name(text)
    try:
        url = urlsplit(text)
        asked = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
        is_secret = url.password is not None or not _SECRETS.isdisjoint(asked.keys())
    except ValueError:
        is_secret, url = False, None
    if is_secret:
        raise PydanticCustomError(
            "SECRET_IN_SETTINGS",
            "must not have a password in it: put it into a password file and name that"
            " by `PGPASSFILE`, or use a service file or a client certificate",
        )
    if url is None or url.scheme != "postgresql" or not text.isprintable():
        raise PydanticCustomError(
            "WRONG_DATABASE",
            "must be the path of a file, or a URL such as"
            " `postgresql://user@host/database`",
        )
    return text


def _key(text: str) -> str:
    """Refuse a URI of a token that cannot be used."""
    try:
        parse_source(text, Path())
    except ConfigurationError as error:
        raise PydanticCustomError(
            error.reason, "{told}", {"told": error.message}
        ) from error
    return text


class _Exchange(Settings):
    """The table `[exchange]`."""

    name: Annotated[Line, Field(max_length=limits.MAX_NAME_CHARACTERS)]
    trust_domain: Annotated[str, AfterValidator(_trust_domain)]
    listen: Address
    admin_listen: Address | None = None
    connections: Annotated[
        int, Field(ge=limits.MIN_CONNECTIONS, le=limits.MAX_CONNECTIONS)
    ] = limits.DEFAULT_CONNECTIONS


class _Tls(Settings):
    """The table `[tls]`."""

    certificate: FileName
    key: FileName
    authority: FileName
    revoked: FileName | None = None


class _Store(Settings):
    """The table `[store]`."""

    database: Annotated[str, AfterValidator(_database)]
    segments: FileName = "data/segments"
    shared: bool = False


class _Keys(Settings):
    """The table `[keys]`."""

    exchange: FileName


class _Policy(Settings):
    """The table `[policy]`."""

    agreements: FileName
    signers: FileName = "signers.toml"
    spaces: FileName
    calibrations: FileName = "calibrations"


class _Answers(Settings):
    """The table `[answers]`."""

    slot_ms: Annotated[int, Field(ge=1, le=limits.MAX_SLOT_MILLISECONDS)] = (
        limits.DEFAULT_SLOT_MILLISECONDS
    )


class _Metrics(Settings):
    """The table `[metrics]`."""

    listen: Address


class MatcherTable(Settings):
    """The table `[matcher]`."""

    engine: Word[EngineKind] = EngineKind.LOCAL
    address: Address | None = None
    shards: Annotated[int, Field(ge=1, le=limits.MAX_SHARDS)] = 1
    copies: Annotated[int, Field(ge=1, le=limits.MAX_SHARD_COPIES)] = 1
    shard_mb: Annotated[int, Field(ge=limits.MIN_SHARD_MEGABYTES)] = (
        limits.DEFAULT_SHARD_MEGABYTES
    )
    shard_cores: Annotated[int, Field(ge=1, le=limits.MAX_SHARD_CORES)] = 1
    templates_together: Annotated[int, Field(ge=1)] = limits.DEFAULT_TEMPLATES_TOGETHER


class _Console(Settings):
    """The table `[console]`."""

    socket: FileName


class _Traces(Settings):
    """The table `[traces]`."""

    collector: Address
    share: Annotated[float, Field(gt=0, le=1)] = limits.TRACED_SHARE


class _Member(Settings):
    """One table `[[member]]`."""

    code: Annotated[Member, parsed_by(Member)]
    name: Annotated[Line, Field(max_length=limits.MAX_NAME_CHARACTERS)]
    key: Annotated[str, AfterValidator(file_name), AfterValidator(_key)]
    auditor: FileName | None = None
    witness: FileName | None = None
    standing: Word[Membership] = Membership.ACTIVE


class ConfigFile(SettingsFile):
    """The whole file."""

    exchange: _Exchange
    tls: _Tls
    store: _Store
    keys: _Keys
    policy: _Policy
    answers: _Answers = _Answers()
    metrics: _Metrics | None = None
    traces: _Traces | None = None
    matcher: MatcherTable = MatcherTable()
    console: _Console | None = None
    member: Annotated[list[_Member], Field(min_length=1, max_length=limits.MAX_MEMBERS)]
