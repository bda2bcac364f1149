"""A client's profile: where the exchange is, and who the client is.

A profile is a TOML file beside its certificates:

    version = 1
    target = "exchange.example:7443"
    server_name = "exchange.example"     # optional: the name in its certificate
    authority = "authority.pem"          # who signs the exchange's certificate
    certificate = "border-1.pem"         # this client's own
    key = "border-1.key"
    deadline_seconds = 10                # optional
    verifier = "exchange.example/..."    # optional: seal to the exchange with this key

Paths are relative to the profile. An unknown key is an error.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from biometrics import limits
from biometrics.errors import ConfigurationError, Fault
from biometrics.files import cause_of


def _known_version(version: int) -> int:
    """Refuse every version but the one there is."""
    if version != 1:
        raise PydanticCustomError("UNKNOWN_VERSION", "must be 1; no other is known")
    return version


class _ProfileFile(BaseModel):
    """What stands in the file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Not a Literal, which takes `true` for 1.
    version: Annotated[int, AfterValidator(_known_version)]
    target: Annotated[str, Field(min_length=1)]
    server_name: str = ""
    authority: Annotated[str, Field(min_length=1)]
    certificate: Annotated[str, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]
    verifier: str = ""
    deadline_seconds: Annotated[
        float, Field(gt=limits.MIN_DEADLINE_SECONDS, le=limits.MAX_DEADLINE_SECONDS)
    ] = limits.DEFAULT_DEADLINE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where the exchange is, and who the client is.

    Attributes:
        target: host and port of the exchange, or any gRPC target.
        server_name: name in the exchange's certificate, where it is not the host
            of `target`; else empty.
        authority: PEM file of the authority that signs the exchange's certificate.
        certificate: PEM file of the client's certificate, and its chain.
        key: PEM file of the client's private key, not encrypted.
        deadline_seconds: deadline of a call that names none.
        verifier: the exchange's verifier key. Where it is given, what has templates in
            it is sealed to whoever signs with it; else TLS alone guards it.
    """

    target: str
    server_name: str = ""
    authority: Path
    certificate: Path
    key: Path = field(repr=False)
    deadline_seconds: float = limits.DEFAULT_DEADLINE_SECONDS
    verifier: str = ""

    @classmethod
    def load(cls, path: Path | str) -> Profile:
        """Read a profile.

        Raises:
            ConfigurationError: the file cannot be read, or with every fault in it.
        """
        path = Path(path)
        text = read_small_file(path, "a client profile")
        try:
            told = _ProfileFile.model_validate(tomllib.loads(text.decode("utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                "NOT_TOML", f"`{path}` is not TOML: {str(error).lower()}"
            ) from error
        except ValidationError as error:
            raise _faulty(path, error) from error
        beside = path.parent
        return cls(
            target=told.target,
            server_name=told.server_name,
            authority=beside / told.authority,
            certificate=beside / told.certificate,
            key=beside / told.key,
            deadline_seconds=told.deadline_seconds,
            verifier=told.verifier,
        )


def read_small_file(path: Path, what: str) -> bytes:
    """Return a file's bytes.

    Args:
        path: where it is.
        what: what it should be, for the error.

    Raises:
        ConfigurationError: it cannot be read, or is too large to be one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.MAX_PROFILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            "UNREADABLE_FILE",
            f"`{path}`, which should be {what}, cannot be read: {cause_of(error)}",
        ) from error
    if len(data) > limits.MAX_PROFILE_BYTES:
        raise ConfigurationError(
            "FILE_TOO_LARGE",
            f"`{path}` is larger than {limits.MAX_PROFILE_BYTES} bytes and cannot be"
            f" {what}",
        )
    return data


def _faulty(path: Path, error: ValidationError) -> ConfigurationError:
    """Return one error for everything that is wrong with a profile."""
    known = ", ".join(f"`{name}`" for name in _ProfileFile.model_fields)
    faults = []
    for found in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in found["loc"])
        if found["type"] == "extra_forbidden":
            message = f"unknown key; a profile has {known}"
        elif found["type"] == "missing":
            message = "is missing; add it"
        else:
            message = found["msg"][:1].lower() + found["msg"][1:]
        faults.append(Fault(field=key, reason="INVALID_PROFILE", message=message))
    told = "; ".join(f"`{fault.field}`: {fault.message}" for fault in faults)
    return ConfigurationError("INVALID_PROFILE", f"`{path}`: {told}", faults=faults)
