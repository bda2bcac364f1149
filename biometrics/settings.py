"""Settings files: strict TOML into frozen values, with every fault at once.

An unknown key, a text where a number belongs and a file that is no TOML are all
told as `ConfigurationError`, whose faults name file, line, key, what is wrong and
what to do. Line numbers are those of the `[[table]]` header above the key, because
that is what an agreement is cited by.
"""

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from biometrics import limits
from biometrics.errors import ConfigurationError, ExchangeError, Fault
from biometrics.files import cause_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_Model = TypeVar("_Model", bound="Settings")
_Value = TypeVar("_Value")


class Settings(BaseModel):
    """One table of a settings file: strict types, no unknown key, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _known_version(version: int) -> int:
    """Refuse every version but the one there is."""
    if version != 1:
        raise PydanticCustomError("UNKNOWN_VERSION", "must be 1; no other is known")
    return version


class SettingsFile(Settings):
    """A whole settings file; its first key is the version of the format."""

    # Not a Literal, which takes `true` and `1.0` for 1.
    version: Annotated[int, AfterValidator(_known_version)]


def _each_once(values: list[_Value]) -> list[_Value]:
    """Refuse a list that says the same thing twice."""
    if len(set(values)) != len(values):
        raise PydanticCustomError("REPEATED_VALUE", "must name each value once")
    return values


def _one_line(text: str) -> str:
    """Return the text with runs of white space, line ends too, as one space."""
    line = " ".join(text.split())
    if not line:
        raise PydanticCustomError("EMPTY_TEXT", "must not be empty")
    if not line.isprintable():
        raise PydanticCustomError(
            "CONTROL_CHARACTER", "must not contain control characters"
        )
    return line


# A word out of an enumeration. TOML has texts only, which strict mode would refuse.
Word = Annotated[_Value, Field(strict=False)]
# One or more different words out of an enumeration.
Words = Annotated[
    list[Annotated[_Value, Field(strict=False)]],
    Field(min_length=1),
    AfterValidator(_each_once),
]
# A text of one printable line, not empty.
Line = Annotated[str, AfterValidator(_one_line)]


_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_PORTS: Final = range(65536)  # 0: any free one


def is_local(address: str) -> bool:
    """Say whether a host and port are of the loopback interface."""
    return address.rpartition(":")[0] in _LOOPBACK


def _address(text: str) -> str:
    """Refuse what is no host and port."""
    host, _, port = text.rpartition(":")
    number = int(port) if re.fullmatch(r"[0-9]{1,5}", port) else -1
    if not _is_host(host) or number not in _PORTS:
        raise PydanticCustomError(
            "WRONG_ADDRESS",
            "must be a host and a port such as `127.0.0.1:7443` or `[::1]:7443`",
        )
    return text


def _is_host(text: str) -> bool:
    """Say whether `text` is a host name, an IPv4 or a bracketed IPv6 address."""
    if not text.startswith("["):
        return _HOST.fullmatch(text) is not None
    try:
        ipaddress.IPv6Address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return text.endswith("]")


def file_name(text: str) -> str:
    """Refuse what names no file."""
    if not text or not text.isprintable():
        raise PydanticCustomError("WRONG_PATH", "must be the path of a file")
    return text


# Host and port, where something listens.
Address = Annotated[str, AfterValidator(_address)]
# The path of a file or folder.
FileName = Annotated[str, AfterValidator(file_name)]


def socket_target(path: Path) -> str:
    """Return gRPC's target of a socket, in the shorter writing of its path.

    Systems take a hundred bytes, which folders within folders have soon.
    """
    return f"unix:{min(str(path), os.path.relpath(path), key=len)}"


def is_too_long(path: Path) -> bool:
    """Say whether a socket's path is longer than systems take."""
    name = socket_target(path).removeprefix("unix:")
    return len(os.fsencode(name)) > limits.CONSOLE_SOCKET_BYTES


def parsed_by(parse: Callable[[str], object]) -> PlainValidator:
    """Return the validator of a text that `parse` makes a value of.

    Use as `Annotated[Member, parsed_by(Member)]`; an `ExchangeError` raised by
    `parse` becomes a fault of that key with the same reason and message.
    """

    def validate(value: object) -> object:
        if not isinstance(value, str):
            raise PydanticCustomError("string_type", "must be a text in quotes")
        try:
            return parse(value)
        except ExchangeError as error:
            raise PydanticCustomError(
                error.reason, "{told}", {"told": error.message}
            ) from error

    return PlainValidator(validate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A settings file that is TOML, not yet checked against its model.

    Attributes:
        source: name of the file, for messages.
        content: what it says.
        lines: by table name, the line of each `[[name]]` header, from 1.
    """

    source: str
    content: Mapping[str, object]
    lines: Mapping[str, tuple[int, ...]]

    @classmethod
    def parse(cls, text: str, source: str) -> "Document":
        """Read TOML.

        Raises:
            ConfigurationError: it is none, or too long.
        """
        # Characters bound bytes from below: read_text has refused the rest.
        if len(text) > limits.MAX_SETTINGS_BYTES:
            raise _too_long(source)
        try:
            content = tomllib.loads(text)
        except RecursionError as error:
            raise _invalid_toml(source, "values are nested too deeply") from error
        except tomllib.TOMLDecodeError as error:
            told = str(error)
            raise _invalid_toml(source, told[:1].lower() + told[1:]) from error
        except ValueError as error:  # Python reads at most 4,300 digits
            raise _invalid_toml(source, "a number has too many digits") from error
        return cls(source=source, content=content, lines=header_lines(text))

    def read_as(self, model: type[_Model]) -> _Model:
        """Return the content as a value of `model`.

        Raises:
            ConfigurationError: with every fault at once.
        """
        try:
            return model.model_validate(self.content)
        except ValidationError as error:
            details = error.errors(include_url=False)
            raise configuration_error(
                [self._fault_of(detail) for detail in details]
            ) from error

    def place(self, table: str, index: int) -> str:
        """Return `file:line` of a `[[table]]` header, else the file alone."""
        lines = self.lines.get(table, ())
        return f"{self.source}:{lines[index]}" if index < len(lines) else self.source

    def fault(self, path: Sequence[str | int], reason: str, message: str) -> Fault:
        """Return a fault of the key at `path`, such as `("permit", 0, "level")`."""
        match path:
            case [str(table), int(index), *_]:
                place = self.place(table, index)
            case _:
                place = self.source
        key = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in path
        ).removeprefix(".")
        field = f"{place}: {key}" if key else place
        return Fault(field=field, reason=reason, message=message)

    def _fault_of(self, detail: "ErrorDetails") -> Fault:
        """Translate one error of pydantic's."""
        kind = detail["type"]
        reason = _REASONS.get(kind, kind if kind.isupper() else "INVALID_VALUE")
        return self.fault(detail["loc"], reason, told_of(detail))


def told_of(detail: "ErrorDetails") -> str:
    """Return what is wrong with a value, and what to do, in words of ours."""
    told = _TOLD.get(detail["type"]) or re.sub(r"^\w+ should", "must", detail["msg"])
    return told.replace("'", "`")


_REASONS: Final = {"missing": "MISSING_KEY", "extra_forbidden": "UNKNOWN_KEY"}
_TOLD: Final = {
    "missing": "is missing; add it",
    "extra_forbidden": "is no key of this table; remove it or correct its spelling",
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number without quotes",
    "float_type": "must be a number without quotes",
    "bool_type": "must be true or false, without quotes",
    "date_type": "must be a date such as 2026-01-31, without quotes",
    "datetime_type": "must be a moment such as 2026-01-31T12:00:00Z, without quotes",
    "timezone_aware": "must end in Z: moments are in UTC",
    "list_type": "must be a list in square brackets",
    "model_type": "must be a table",
    "too_short": "must not be empty",
}


def parse_settings(model: type[_Model], text: str, source: str) -> _Model:
    """Read a settings file as a value of `model`.

    Raises:
        ConfigurationError: with every fault at once.
    """
    return Document.parse(text, source).read_as(model)


def read_text(path: Path) -> str:
    """Return the text of a settings file.

    Raises:
        ConfigurationError: it is missing, not readable, too long or not UTF-8.
    """
    return decode_text(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """Return a settings file as it is, which is what a signature is about.

    Raises:
        ConfigurationError: it is missing, not readable or too long.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.MAX_SETTINGS_BYTES + 1)
    except OSError as error:
        told = f"cannot be read: {cause_of(error)}"
        raise _unusable(str(path), "UNREADABLE_FILE", told) from error
    if len(data) > limits.MAX_SETTINGS_BYTES:
        raise _too_long(str(path))
    return data


def decode_text(data: bytes, source: str) -> str:
    """Return the text of a settings file's bytes.

    Raises:
        ConfigurationError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        told = f"is not UTF-8 at byte {error.start}; save it as UTF-8"
        raise _unusable(source, "NOT_UTF8", told) from error


def configuration_error(faults: Sequence[Fault]) -> ConfigurationError:
    """Return one error for all faults; the first gives the reason."""
    told = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
    return ConfigurationError(faults[0].reason, told, faults=faults)


def _unusable(source: str, reason: str, message: str) -> ConfigurationError:
    fault = Fault(field=source, reason=reason, message=message)
    return configuration_error([fault])


def _invalid_toml(source: str, told: str) -> ConfigurationError:
    return _unusable(source, "INVALID_TOML", f"is not valid TOML: {told}")


def _too_long(source: str) -> ConfigurationError:
    message = f"is longer than {limits.MAX_SETTINGS_BYTES} bytes; shorten it"
    return _unusable(source, "FILE_TOO_LONG", message)


# Whatever can hide a bracket or a line end in TOML 1.0, longest first, and these.
_LEXEME: Final = re.compile(
    r'''
      """ (?: \\. | [^\\] )*? "{3,5}
    | \'\'\' .*? '{3,5}
    | " (?: \\. | [^"\\\n] )* "
    | ' [^'\n]* '
    | \# [^\n]*
    | [\[\]\n]
    ''',
    re.DOTALL | re.VERBOSE,
)
_HEADER: Final = re.compile(r"[ \t]*\[\[[^\n]*")


def header_lines(text: str) -> dict[str, tuple[int, ...]]:
    """Return the lines of `[[name]]` headers by name, counted from 1.

    Headers are looked for only where a statement can begin: never inside a string,
    a comment or a list. Headers of nested tables (`[[a.b]]`) are left out.

    Args:
        text: TOML that `tomllib` has accepted.
    """
    text = text.replace("\r\n", "\n")
    found: dict[str, list[int]] = {}
    line, counted = 1, 0
    for start in _statement_starts(text):
        header = _HEADER.match(text, start)
        if header is None:
            continue
        line, counted = line + text.count("\n", counted, start), start
        # The line is a whole document of one empty table: let tomllib read the key.
        ((name, tables),) = tomllib.loads(header.group()).items()
        if isinstance(tables, list):
            found.setdefault(name, []).append(line)
    return {name: tuple(lines) for name, lines in found.items()}


def _statement_starts(text: str) -> list[int]:
    """Return the offsets of lines that begin outside strings and lists."""
    starts, depth = [0], 0
    for lexeme in _LEXEME.finditer(text):
        match lexeme.group():
            case "[":
                depth += 1
            case "]":
                depth -= 1
            case "\n" if depth == 0:
                starts.append(lexeme.end())
    return starts


def quoted(text: str) -> str:
    """Return a TOML basic string; JSON's strings are a subset but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
