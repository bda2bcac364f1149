"""The exchange's own settings: `exchange.toml`, read strictly.

    version = 1
    [exchange]
    name = "pilot"
    trust_domain = "exchange.test"     # of the SPIFFE IDs in client certificates
    listen = "127.0.0.1:7443"
    admin_listen = "10.0.0.1:7444"     # administrators, there alone; may be left out
    connections = 384                  # at each address, at most; may be left out
    [tls]
    certificate = "pki/server.pem"
    key = "pki/server.key"
    authority = "pki/authority.pem"    # who signs client certificates
    revoked = "pki/revoked.pem"        # which of these it took back; may be left out
    [store]
    database = "data/exchange.sqlite"  # or "postgresql://user@host/database"
    shared = true                      # by other front ends; of PostgreSQL alone
    [keys]
    exchange = "keys/exchange.key"
    [policy]
    agreements = "agreements"
    signers = "signers.toml"           # whose signatures of agreements count
    spaces = "spaces.toml"
    calibrations = "calibrations"      # of each space, NAME.toml
    [answers]                          # may be left out
    slot_ms = 25                       # an answer leaves at the end of two such slots
    [metrics]                          # may be left out: no figures are served
    listen = "127.0.0.1:9464"          # plain HTTP, for Prometheus
    [traces]                           # may be left out: nothing is traced
    collector = "127.0.0.1:4317"       # OTLP over plain gRPC
    share = 0.01                       # of all searches
    [matcher]                          # may be left out: galleries on this machine
    engine = "ray"                     # or "local"; all below is of "ray" alone
    address = "10.0.0.2:6379"          # of the head of a Ray cluster that is there
    shards = 3
    copies = 1                         # of each; with 2 a lost one leaves the other
    shard_mb = 4096                    # of memory, that each asks for
    shard_cores = 1                    # likewise
    templates_together = 32768         # of a gallery, enrolled in a row, in one shard
    [console]                          # may be left out: no console can ask
    socket = "console/socket"
    [[member]]
    code = "XAA"
    name = "a state"
    key = "keys/XAA.key"               # or `handed-over`, or a URI `pkcs11:...`
    auditor = "auditors/XAA.pub"       # may be left out; to whom its log is handed
    witness = "witnesses/XAA.pub"      # may be left out; whose cosignatures are kept
    standing = "active"                # or `suspended`, or `left`; see `members`

Paths are relative to the file. A URL of a database is libpq's and has no password: that
stands in a password file or a service file (`PGPASSFILE`, `PGSERVICEFILE`), or is not
needed, with a client certificate. Every fault is told at once.
"""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from biometrics import limits
from biometrics.custody import (
    HandedKey,
    KeyFile,
    KeySource,
    TokenKey,
    parse_source,
)
from biometrics.errors import Fault
from biometrics.members import Member, Membership
from biometrics.server.config_file import ConfigFile, EngineKind, MatcherTable
from biometrics.settings import (
    Document,
    configuration_error,
    is_too_long,
    read_text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Where traces are sent, and of what share of all searches."""

    collector: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """Shards on a Ray cluster.

    Attributes:
        address: host and port of its head.
        shards: how many.
        copies: of each.
        shard_mb: of memory, that each asks for.
        shard_cores: likewise.
        templates_together: consecutive ones of a gallery that are in one shard.
    """

    address: str
    shards: int
    copies: int
    shard_mb: int
    shard_cores: int
    templates_together: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The exchange's settings; every path absolute or relative to the working folder.

    Attributes:
        path: of the file itself.
        name: of the exchange, for people.
        trust_domain: of the SPIFFE IDs in client certificates.
        listen: host and port, as `127.0.0.1:7443`, `[::1]:7443`; port 0 is any.
        admin_listen: where administrators alone are served, and nowhere else; None for
            where everybody is.
        connections: how many there may be at each address.
        tls_certificate: PEM file of the server's certificate, and its chain.
        tls_key: PEM file of the server's private key.
        tls_authority: PEM file of whoever signs client certificates.
        tls_revoked: PEM file of their lists of revoked ones; None to ask for none.
        database: file of the store, made where it is missing; or the URL of a database
            of PostgreSQL, which has to be there.
        is_shared: whether other front ends may serve the same database.
        segments: folder of sealed codes, made likewise; what is in it follows from the
            database and the keys.
        exchange_key: file of the exchange's own key-encryption key.
        agreements: folder of the holders' agreements.
        signers: file of those who sign agreements.
        spaces: file of the template spaces.
        slot_seconds: an answer to a search leaves at the end of two such slots.
        metrics_listen: where figures are served over plain HTTP; None for nowhere.
        traces: where traces of searches are sent; None for nowhere.
        cluster: where galleries are in memory; None for in this process.
        console_socket: where the console asks, on this machine; None for nowhere.
        calibrations: folder of their calibrations.
        members: each with where its key-encryption key comes from, none twice. A file
            may be missing: whoever takes away its key locks its galleries.
        auditors: files of the public keys of members' auditors, of those that have one.
        witnesses: files of the public keys of members' witnesses, likewise.
        member_names: for people.
        memberships: how it is about each.
    """

    path: Path
    name: str
    trust_domain: str
    listen: str
    admin_listen: str | None
    connections: int
    tls_certificate: Path
    tls_key: Path
    tls_authority: Path
    tls_revoked: Path | None
    database: Path | str
    is_shared: bool
    segments: Path
    exchange_key: Path
    agreements: Path
    signers: Path
    spaces: Path
    slot_seconds: float
    metrics_listen: str | None
    traces: Traces | None
    cluster: ClusterConfig | None
    console_socket: Path | None
    calibrations: Path
    members: Mapping[Member, KeySource]
    auditors: Mapping[Member, Path]
    witnesses: Mapping[Member, Path]
    member_names: Mapping[Member, str]
    memberships: Mapping[Member, Membership]

    @property
    def present(self) -> list[Member]:
        """Every member that has not left, in their order."""
        return sorted(m for m, s in self.memberships.items() if s is not s.LEFT)


def read_config(path: Path, *, is_whole: bool = True) -> Config:
    """Return the settings in the file at `path`, whose own files are there.

    What stands in those files is for whoever reads them.

    Args:
        path: of `exchange.toml`.
        is_whole: whether the files have to be there; not while they are restored.

    Raises:
        ConfigurationError: with every fault at once.
    """
    document = Document.parse(read_text(path), path.name)
    file = document.read_as(ConfigFile)
    config = _resolved(file, path)
    faults = [*_repeated(document, file, path.parent), *_misplaced(document, file)]
    if is_whole:
        faults += _missing(document, config)
    if config.is_shared and isinstance(config.database, Path):
        told = (
            "is of PostgreSQL alone: a file is one exchange's; set `database` to a URL,"
            " or leave this out"
        )
        faults.append(document.fault(("store", "shared"), "NOT_SHARED", told))
    if config.console_socket and is_too_long(config.console_socket):
        told = (
            f"`{config.console_socket}` is too long for a socket, which has"
            f" {limits.CONSOLE_SOCKET_BYTES} bytes; name a shorter path"
        )
        faults.append(document.fault(("console", "socket"), "LONG_SOCKET", told))
    if faults:
        raise configuration_error(faults)
    return config


def _resolved(file: ConfigFile, path: Path) -> Config:
    """Return the settings of the file at `path`, paths taken from its folder."""
    folder = path.parent
    return Config(
        path=path,
        name=file.exchange.name,
        trust_domain=file.exchange.trust_domain,
        listen=file.exchange.listen,
        admin_listen=file.exchange.admin_listen,
        connections=file.exchange.connections,
        tls_certificate=folder / file.tls.certificate,
        tls_key=folder / file.tls.key,
        tls_authority=folder / file.tls.authority,
        tls_revoked=folder / file.tls.revoked if file.tls.revoked else None,
        database=_place(folder, file.store.database),
        is_shared=file.store.shared,
        segments=folder / file.store.segments,
        exchange_key=folder / file.keys.exchange,
        agreements=folder / file.policy.agreements,
        signers=folder / file.policy.signers,
        spaces=folder / file.policy.spaces,
        slot_seconds=file.answers.slot_ms / 1000,
        metrics_listen=file.metrics.listen if file.metrics else None,
        traces=Traces(**dict(file.traces)) if file.traces else None,
        cluster=_cluster(file.matcher),
        console_socket=folder / file.console.socket if file.console else None,
        calibrations=folder / file.policy.calibrations,
        members=MappingProxyType(
            {each.code: parse_source(each.key, folder) for each in file.member}
        ),
        auditors=MappingProxyType(
            {
                each.code: folder / each.auditor
                for each in file.member
                # Of one that has left nobody needs it any more.
                if each.auditor is not None and each.standing is not Membership.LEFT
            }
        ),
        witnesses=MappingProxyType(
            {
                each.code: folder / each.witness
                for each in file.member
                if each.witness is not None and each.standing is not Membership.LEFT
            }
        ),
        member_names=MappingProxyType({each.code: each.name for each in file.member}),
        memberships=MappingProxyType({e.code: e.standing for e in file.member}),
    )


def _cluster(matcher: MatcherTable) -> ClusterConfig | None:
    """Return where galleries are, if that is a cluster."""
    if matcher.engine is not EngineKind.RAY or matcher.address is None:
        return None
    return ClusterConfig(
        address=matcher.address,
        shards=matcher.shards,
        copies=matcher.copies,
        shard_mb=matcher.shard_mb,
        shard_cores=matcher.shard_cores,
        templates_together=matcher.templates_together,
    )


def _place(folder: Path, database: str) -> Path | str:
    """Return a file's path taken from `folder`, or a URL as it is."""
    return database if "://" in database else folder / database


def _misplaced(document: Document, file: ConfigFile) -> Iterator[Fault]:
    """Yield a fault for each setting of `[matcher]` that the engine has no use for."""
    matcher = file.matcher
    if matcher.engine is EngineKind.RAY:
        if matcher.address is None:
            told = "is missing: host and port of the head of a Ray cluster"
            yield document.fault(("matcher", "address"), "MISSING_ADDRESS", told)
        return
    for name in sorted(matcher.model_fields_set - {"engine"}):
        told = 'is of `engine = "ray"` alone; set that, or leave this out'
        yield document.fault(("matcher", name), "NOT_OF_THIS_ENGINE", told)


def _repeated(document: Document, file: ConfigFile, folder: Path) -> Iterator[Fault]:
    """Yield a fault for each code and each key file that is there twice."""
    codes: set[Member] = set()
    keys: set[object] = {(folder / file.keys.exchange).resolve()}
    for index, each in enumerate(file.member):
        if each.code in codes:
            told = "is the code of another member above; give each one table"
            yield document.fault(("member", index, "code"), "REPEATED_MEMBER", told)
        source = parse_source(each.key, folder)
        key = _told_apart(source)
        if key in keys:
            told = (
                "is the key of the exchange or of a member above; give each its own,"
                " so that it can be locked and destroyed alone"
            )
            yield document.fault(("member", index, "key"), "REPEATED_KEY", told)
        codes.add(each.code)
        if not isinstance(source, HandedKey):  # which each member has of its own
            keys.add(key)


def _told_apart(source: KeySource) -> object:
    """Return what tells a key from others, however the settings write where it is."""
    match source:
        case KeyFile():
            return source.path.resolve()
        case TokenKey():
            return source.token, source.label
        case HandedKey():
            return source


def _missing(document: Document, config: Config) -> Iterator[Fault]:
    """Yield a fault for each file that is not there, or that is open to everybody."""
    files: dict[tuple[str | int, ...], Path | None] = {
        ("tls", "certificate"): config.tls_certificate,
        ("tls", "key"): config.tls_key,
        ("tls", "authority"): config.tls_authority,
        ("tls", "revoked"): config.tls_revoked,
        ("keys", "exchange"): config.exchange_key,
        ("policy", "signers"): config.signers,
        ("policy", "spaces"): config.spaces,
    }
    files |= {
        ("member", index, name): paths.get(member)
        for name, paths in (
            ("auditor", config.auditors),
            ("witness", config.witnesses),
        )
        for index, member in enumerate(config.members)
    }
    for key, path in files.items():
        if path is not None and not path.is_file():
            told = f"there is no file `{path}`; make it or correct the path"
            yield document.fault(key, "MISSING_FILE", told)
    for name, folder in (
        ("agreements", config.agreements),
        ("calibrations", config.calibrations),
    ):
        if not folder.is_dir():
            told = f"there is no folder `{folder}`; make it or correct the path"
            yield document.fault(("policy", name), "MISSING_FOLDER", told)
    if config.tls_key.is_file() and config.tls_key.stat().st_mode & stat.S_IRWXO:
        told = f"everybody can read `{config.tls_key}`; run `chmod 600` on it"
        yield document.fault(("tls", "key"), "OPEN_KEY", told)
