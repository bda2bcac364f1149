"""Client certificates that no exchange takes, each wrong in one way."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Use
from cryptography.x509.oid import NameOID

from biometrics.clock import SystemClock
from biometrics.server.pki import Credential

if TYPE_CHECKING:
    from collections.abc import Sequence

    Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

DOMAIN = "exchange.test"
GOOD = f"spiffe://{DOMAIN}/member/XAA/client/border-1"
DAY = dt.timedelta(days=1)
_SHA256_RSA = bytes.fromhex("06092a864886f70d01010b")
_SHA1_RSA = bytes.fromhex("06092a864886f70d010105")


def named(text: str) -> x509.Name:
    """Return a name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def uris(*texts: str) -> tuple[x509.GeneralName, ...]:
    """Return names that are URIs."""
    return tuple(x509.UniformResourceIdentifier(text) for text in texts)


def pem_of(key: Key) -> bytes:
    """Return a private key as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def short_key() -> rsa.RSAPrivateKey:
    """Return a key that is too short."""
    return rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused


@dataclass(frozen=True)
class Signer:
    """An authority, or what poses as one, without any restraint."""

    key: Any
    certificate: x509.Certificate

    @classmethod
    def new(cls, name: str = "plain authority", key: Key | None = None) -> Signer:
        """Return a new one, of RSA unless told otherwise."""
        made = key or rsa.generate_private_key(65537, 2048)
        plain = Plan(names=(), uses=(), is_authority=True, life=(-DAY, 30 * DAY))
        return cls(made, plain.sign(made, named(name), made, named(name)))

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def revoke(
        self, *numbers: int, life: tuple[dt.timedelta, dt.timedelta] = (-DAY, DAY)
    ) -> bytes:
        """Return its list."""
        now = SystemClock().now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now + life[0])
            .next_update(now + life[1])
        )
        for number in numbers:
            row = x509.RevokedCertificateBuilder().serial_number(number)
            builder = builder.add_revoked_certificate(row.revocation_date(now).build())
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to stand in a certificate; as it stands here, it is good."""

    names: Sequence[x509.GeneralName] = uris(GOOD)
    uses: Sequence[x509.ObjectIdentifier] = (Use.CLIENT_AUTH,)
    life: tuple[dt.timedelta, dt.timedelta] = (-DAY, DAY)
    subject: str = "a client"
    key: Any = None
    digest: Any = field(default_factory=hashes.SHA256)
    is_authority: bool = False
    may_sign: bool = False
    number: int | None = None
    more: tuple[tuple[x509.ExtensionType, bool], ...] = ()

    def sign(
        self, key: Key, subject: x509.Name, signer: Key, issuer: x509.Name
    ) -> x509.Certificate:
        """Return the certificate of `key`, by `signer`."""
        now = SystemClock().now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(self.number or x509.random_serial_number())
            .not_valid_before(now + self.life[0])
            .not_valid_after(now + self.life[1])
            .add_extension(
                x509.BasicConstraints(self.is_authority, None), critical=True
            )
        )
        if self.names:
            names = x509.SubjectAlternativeName(self.names)
            builder = builder.add_extension(names, critical=False)
        if self.uses:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage(self.uses), critical=False
            )
        if self.may_sign:
            flags = dict.fromkeys(
                (
                    *("content_commitment", "key_encipherment", "data_encipherment"),
                    *("key_agreement", "crl_sign", "encipher_only", "decipher_only"),
                ),
                False,
            )
            usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, **flags)
            builder = builder.add_extension(usage, critical=True)
        for extension, critical in self.more:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(signer, self.digest)

    def by(self, signer: Signer) -> Credential:
        """Return it signed, with its key."""
        key = self.key or ec.generate_private_key(ec.SECP256R1())
        made = self.sign(
            key, named(self.subject), signer.key, signer.certificate.subject
        )
        return Credential(
            certificate=made.public_bytes(serialization.Encoding.PEM), key=pem_of(key)
        )


def by_sha1(signer: Signer) -> Credential:
    """Return a good certificate but for its hash, which no library signs any more."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = Plan().sign(key, named("x"), signer.key, signer.certificate.subject)
    body = made.tbs_certificate_bytes
    swapped = body.replace(_SHA256_RSA, _SHA1_RSA)
    signature = signer.key.sign(swapped, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    whole = made.public_bytes(serialization.Encoding.DER)
    whole = whole.replace(body, swapped).replace(_SHA256_RSA, _SHA1_RSA)
    data = whole[: -len(signature)] + signature
    read = x509.load_der_x509_certificate(data)
    return Credential(
        certificate=read.public_bytes(serialization.Encoding.PEM), key=pem_of(key)
    )


def by_a_leaf(signer: Signer) -> Credential:
    """Return a certificate that another client signed, with that one's below it."""
    above = Plan().by(signer)
    key = serialization.load_pem_private_key(above.key, None)
    leaf = Signer(key, x509.load_pem_x509_certificate(above.certificate))
    made = Plan().by(leaf)
    return replace(made, certificate=made.certificate + above.certificate)


TLS = ""  # the reason of what TLS itself refuses
NOBODY = "NO_IDENTITY"
BAD = "CERTIFICATE_NOT_GOOD"
REVOKED = 4242
PATHS = (
    f"https://{DOMAIN}/member/XAA/client/a",
    "spiffe://elsewhere.test/member/XAA/client/a",
    f"spiffe://evil.{DOMAIN}/member/XAA/client/a",
    f"spiffe://{DOMAIN}.evil.test/member/XAA/client/a",
    f"spiffe://{DOMAIN.upper()}/member/XAA/client/a",
    f"spiffe://{DOMAIN}:7443/member/XAA/client/a",
    f"spiffe://user@{DOMAIN}/member/XAA/client/a",
    f"spiffe://{DOMAIN}",
    f"spiffe://{DOMAIN}/",
    f"spiffe://{DOMAIN}/member/XZZ/client/a",
    f"spiffe://{DOMAIN}/member/GBR/client/a",
    f"spiffe://{DOMAIN}/member/xaa/client/a",
    f"spiffe://{DOMAIN}/member/XAA/owner/a",
    f"spiffe://{DOMAIN}/member/XAA/Client/a",
    f"spiffe://{DOMAIN}/member/XAA/client",
    f"spiffe://{DOMAIN}/member/XAA/client/",
    f"spiffe://{DOMAIN}/member/XAA/client/a/b",
    f"spiffe://{DOMAIN}/member/XAA/client/%61",
    f"spiffe://{DOMAIN}/member/XAA/client/../../XBB/client/a",
    f"spiffe://{DOMAIN}//member/XAA/client/a",
    f"spiffe://{DOMAIN}/member/XAA/client/a?b=c",
    f"spiffe://{DOMAIN}/member/XAA/client/a#b",
    f"spiffe://{DOMAIN}/member/XAA/client/a\0b",
    f"spiffe://{DOMAIN}/member/XAA/client/{'a' * 65}",
    f"spiffe://{DOMAIN}/member/XAA/client/a b",
)


def names_of(count: int) -> tuple[x509.GeneralName, ...]:
    """Return a good name among many others."""
    others = (x509.DNSName(f"{number}.{DOMAIN}") for number in range(count))
    return (*uris(GOOD), *others)


def odd(authority: Signer) -> dict[str, tuple[Credential | None, str]]:
    """Return every one by what is odd, and the reason for which it is refused."""
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    plans = {
        "expired": (Plan(life=(-2 * DAY, -DAY)), TLS),
        "expired a minute ago": (Plan(life=(-DAY, -DAY / 1440)), TLS),
        "valid from tomorrow": (Plan(life=(DAY, 2 * DAY)), TLS),
        "valid in an hour": (Plan(life=(DAY / 24, DAY)), TLS),
        "for servers": (Plan(uses=(Use.SERVER_AUTH,)), TLS),
        "for signing code": (Plan(uses=(Use.CODE_SIGNING,)), TLS),
        "for anything": (Plan(uses=()), BAD),
        "for any use": (Plan(uses=(Use.ANY_EXTENDED_KEY_USAGE,)), TLS),
        "an unknown critical extension": (Plan(more=((unknown, True),)), TLS),
        "RSA 1024": (Plan(key=short_key()), BAD),
        "P-192": (Plan(key=ec.generate_private_key(ec.SECP192R1())), TLS),
        "P-224": (Plan(key=ec.generate_private_key(ec.SECP224R1())), TLS),
        "secp256k1": (Plan(key=ec.generate_private_key(ec.SECP256K1())), TLS),
        "Ed25519": (Plan(key=ed25519.Ed25519PrivateKey.generate()), TLS),
        "SHA-224": (Plan(digest=hashes.SHA224()), BAD),
        "an authority": (Plan(is_authority=True), BAD),
        "may sign": (Plan(may_sign=True), BAD),
        "large": (Plan(names=names_of(320)), BAD),
        "huge": (Plan(names=names_of(9000)), TLS),
        "revoked": (Plan(number=REVOKED), "CERTIFICATE_REVOKED"),
        "no names": (Plan(names=()), NOBODY),
        "the name as subject": (Plan(names=(), subject=GOOD[:64]), NOBODY),
        "a host": (Plan(names=(x509.DNSName(DOMAIN),)), NOBODY),
        "a mail address": (Plan(names=(x509.RFC822Name("XAA@x.test"),)), NOBODY),
        "the same URI twice": (Plan(names=uris(GOOD, GOOD)), NOBODY),
        "two members": (Plan(names=uris(GOOD, GOOD.replace("XAA", "XBB"))), NOBODY),
        "a second URI": (Plan(names=uris(GOOD, f"https://{DOMAIN}/")), NOBODY),
    }
    made: dict[str, tuple[Credential | None, str]] = {
        "none": (None, TLS),
        "of a foreign authority": (Plan().by(Signer.new("foreign")), TLS),
        "of one of the same name": (Plan().by(Signer.new()), TLS),
        "signed by itself": (_of_itself(), TLS),
        "signed by a client": (by_a_leaf(authority), TLS),
        "the authority's own": (
            Credential(certificate=authority.pem, key=pem_of(authority.key)),
            NOBODY,
        ),
        "SHA-1": (by_sha1(authority), BAD),
    }
    made |= {name: (plan.by(authority), why) for name, (plan, why) in plans.items()}
    return made | {
        repr(path): (Plan(names=uris(path)).by(authority), NOBODY) for path in PATHS
    }


def _of_itself() -> Credential:
    """Return a certificate that its own key signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = Plan().sign(key, named("itself"), key, named("itself"))
    return Credential(
        certificate=made.public_bytes(serialization.Encoding.PEM), key=pem_of(key)
    )
