"""Defines the kinds of setting values: how each is read from text, and the form that an error asks for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from sharq_core.config.usable_cpus import usable_cpus
from sharq_core.web_pages import is_origin

T = TypeVar("T")

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_LABEL = r"[A-Za-z0-9_\-]{1,63}"
_HOST_NAME = re.compile(rf"(?!-)(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?")
"""The resolver of Python raises a UnicodeError, which is no OSError, for an empty or a longer label."""
_KEY_PREFIX = re.compile(r"[A-Za-z0-9_\-.:/+@]{1,100}")


class Secret:
    """Text that appears in no repr, log, error or encoding; only `reveal` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Kind(msgspec.Struct, Generic[T], frozen=True):
    """One kind of value.

    Attributes:
        expected: the allowed form, to stand after "expected".
        parse: makes the value from stripped, non-empty text, or raises ValueError.
        is_secret: the text must never be shown.
    """

    expected: str
    parse: Callable[[str], T]
    is_secret: bool = False


class Address(msgspec.Struct, frozen=True):
    """A host name or IP address without brackets, and a TCP port (1 to 65535)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def describe(text: str) -> str:
    """Describe a wrong value without showing it: it may be a password in the wrong place."""
    if _INTEGER.fullmatch(text):
        return "another number"
    return "a URL" if "://" in text else "something else (not shown here: it may be a secret)"


def shown_path(path: Path) -> str:
    """Return a configured path for an error; a path in no directory is not shown, as it may be a misplaced secret."""
    try:
        is_place = path.exists() or (len(path.parts) > 2 and path.parent.is_dir())
    except (OSError, ValueError):
        is_place = False
    return str(path) if is_place else "the file that it names"


def whole_number(low: int, high: int, unit: str = "") -> Kind[int]:
    """Return the kind of whole numbers from low to high, both included; the unit is for the error only."""

    def parse(text: str) -> int:
        number = int(text) if _INTEGER.fullmatch(text) else None
        if number is None or not low <= number <= high:
            raise ValueError(text)
        return number

    return Kind(f"a whole number{unit and f' of {unit}'} from {low} to {high}", parse)


def count_or_processors(high: int) -> Kind[int]:
    """Return the kind of whole numbers from 1 to high, or `auto` for the number of usable processors, at most high."""
    number = whole_number(1, high)

    def parse(text: str) -> int:
        return min(usable_cpus(), high) if text.lower() == "auto" else number.parse(text)

    return Kind(f"{number.expected}, or auto", parse)


def milliseconds(low: int, high: int) -> Kind[int]:
    """Return the kind of durations in whole milliseconds from low to high, both included."""
    return whole_number(low, high, "milliseconds")


def milliseconds_or_zero(low: int, high: int) -> Kind[int]:
    """Return the kind of durations in whole milliseconds from low to high, or 0 for none."""
    duration = milliseconds(low, high)
    return Kind(f"{duration.expected}, or 0", lambda text: 0 if text == "0" else duration.parse(text))


def one_of(*words: str) -> Kind[str]:
    """Return the kind of a few words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(text)
        return text.lower()

    return Kind(" or ".join(words), parse)


def host_and_port(default_port: int) -> Kind[Address]:
    """Return the kind of `host`, `host:port`, `[ipv6]` or `[ipv6]:port`."""
    return Kind("host:port", lambda text: parse_address(text, default_port))


def hosts_and_ports(default_port: int) -> Kind[tuple[Address, ...]]:
    """Return the kind of address lists, separated by commas or blanks: at least one address, none of them twice."""

    def parse(text: str) -> tuple[Address, ...]:
        addresses = tuple(parse_address(part, default_port) for part in re.split(r"[,\s]+", text.strip(", ")))
        if len(set(addresses)) < len(addresses):
            raise ValueError(text)
        return addresses

    return Kind("host:port, host:port, ..., each of them once", parse)


def parse_address(text: str, default_port: int) -> Address:
    """Return the address that the text names; a missing port is the default port.

    Raises:
        ValueError: the text is not an address.
    """
    bracketed = re.fullmatch(r"\[(?P<host>[^\]]*)\](:(?P<port>[0-9]{1,5}))?", text)
    plain = re.fullmatch(r"(?P<host>[^:\[\]]*)(:(?P<port>[0-9]{1,5}))?", text)
    match = bracketed or plain
    if match is None:
        raise ValueError(text)
    port = int(match["port"] or default_port)
    if not 1 <= port <= 65535:
        raise ValueError(text)
    return Address(_parse_host(match["host"]), port)


def _parse_host(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare:
        return str(ipaddress.IPv6Address(bare))
    if _HOST_NAME.fullmatch(bare) is None:
        raise ValueError(text)
    return bare


def _parse_hosts(text: str) -> tuple[str, ...]:
    return tuple(part if part == "*" else _parse_host(part).lower() for part in _parts(text))


def _parse_origins(text: str) -> tuple[str, ...]:
    origins = _parts(text)
    if not all(is_origin(origin) for origin in origins):
        raise ValueError(text)
    return tuple(origin.lower() for origin in origins)


def _parts(text: str) -> list[str]:
    return re.split(r"[,\s]+", text.strip(", "))


def _parse_yes_or_no(text: str) -> bool:
    if text.lower() not in _YES | _NO:
        raise ValueError(text)
    return text.lower() in _YES


def _parse_path(text: str) -> Path:
    if "\0" in text:
        raise ValueError(text)
    return Path(text)


def _parse_log_path(text: str) -> Path | None:
    return None if text.lower() in _NO else _parse_path(text)


def _parse_name(text: str) -> str:
    if not text.isprintable() or " " in text or len(text) > 100:
        raise ValueError(text)
    return text


def _parse_key_prefix(text: str) -> str:
    bare = text.replace("{", "").replace("}", "")
    if _KEY_PREFIX.fullmatch(bare) is None:
        raise ValueError(text)
    return text


yes_or_no = Kind("true or false", _parse_yes_or_no)
host = Kind("a host name or an IP address, without a port", _parse_host)
hosts = Kind("host names or IP addresses without ports, separated by commas, or *", _parse_hosts)
origins = Kind("origins such as https://console.example:8443, separated by commas", _parse_origins)
path = Kind("the path of a file", _parse_path)
log_path = Kind("off, or the path of a file", _parse_log_path)
name = Kind("a name of up to 100 characters without blanks", _parse_name)
secret = Kind("a text", Secret, is_secret=True)
key_prefix = Kind("1 to 100 of A-Z a-z 0-9 _ - . : / + @ (braces around it are dropped)", _parse_key_prefix)
