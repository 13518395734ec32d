"""Reads and writes a line of the tokens file: a name, a digest, and words that limit the token."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from router.access.name_patterns import NamePatterns
from router.access.permissions import ALL_PERMISSIONS, Permission, in_order
from router.access.token import Token

MAX_RPS = 1_000_000
MAX_QUEUED = 2**31 - 1

_NAME = r"[A-Za-z0-9_.@+-]{1,100}"
_LINE = re.compile(rf"(?P<name>{_NAME})\s+sha256:(?P<digest>[0-9a-f]{{64}})(?P<words>(?:\s+\S+)*)")
_WORD = re.compile(r"(?P<key>[a-z_]{1,20})=(?P<value>.*)")
_SHOWN = re.compile(r"[a-z]{1,12}")
"""A value that an error shows. Longer ones may be secrets in the wrong place."""

_FIRST_WORD = 3
"""The number of the first word after the name and the digest, as people count."""


def is_token_name(text: str) -> bool:
    """Return True if a line of the file may have this name."""
    return re.fullmatch(_NAME, text) is not None


def parse_line(line: str) -> Token:
    """Return the token of a line.

    Raises:
        ValueError: the line is not valid. The message names the word, and never quotes the line, since it may contain
            a token.
    """
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise ValueError("expected NAME sha256:<64 hexadecimal digits>")
    values: dict[str, Any] = {}
    for number, word in enumerate(match["words"].split(), _FIRST_WORD):
        key, value = _split(word, number)
        if key in values:
            raise ValueError(f"word {number}: {key}= occurs twice")
        try:
            values[key] = _READERS[key](value)
        except ValueError as error:
            raise ValueError(f"word {number}: {key}=: {error}") from None
    return make_token(match["name"], bytes.fromhex(match["digest"]), values)


def make_token(name: str, digest: bytes, values: Mapping[str, Any]) -> Token:
    """Return a token with the values of its words by their keys; a word that is missing limits nothing."""
    return Token(
        name,
        digest,
        values.get("ops", ALL_PERMISSIONS),
        values.get("types"),
        values.get("caps"),
        values.get("max_queued"),
        values.get("rps"),
    )


def write_line(token: Token) -> str:
    """Return the line of a token."""
    words = [token.name, f"sha256:{token.digest.hex()}"]
    if token.permissions != ALL_PERMISSIONS:
        words.append(f"ops={'|'.join(in_order(token.permissions))}")
    if token.types is not None:
        words.append(f"types={token.types}")
    if token.caps is not None:
        words.append(f"caps={token.caps}")
    if token.max_queued is not None:
        words.append(f"max_queued={token.max_queued}")
    if token.rps is not None:
        words.append(f"rps={token.rps}")
    return " ".join(words)


def read_permissions(text: str) -> frozenset[Permission]:
    """Return the permissions in a text that joins them by `|` or `,`; raise ValueError if one is unknown."""
    permissions = set()
    for number, word in enumerate(re.split(r"[|,]", text), 1):
        if word not in _PERMISSION_WORDS:
            shown = f"'{word}'" if _SHOWN.fullmatch(word) else f"permission {number}"
            raise ValueError(f"{shown} is unknown, expected {', '.join(Permission)}")
        permissions.add(Permission(word))
    return ALL_PERMISSIONS if Permission.ADMIN in permissions else frozenset(permissions)


def read_patterns(text: str) -> NamePatterns:
    """Return the patterns in a text that joins them by commas; raise ValueError if one is not valid."""
    return NamePatterns(text.split(","))


def read_max_queued(text: str) -> int:
    """Return a limit of the length of queues; raise ValueError if it is none."""
    return _whole_number(text, 1, MAX_QUEUED)


def read_rps(text: str) -> int:
    """Return a number of requests per second; raise ValueError if it is none."""
    return _whole_number(text, 1, MAX_RPS)


def _whole_number(text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
        raise ValueError(f"expected a whole number from {least} to {most}")
    return int(text)


_PERMISSION_WORDS = frozenset(map(str, Permission))

_READERS: dict[str, Callable[[str], Any]] = {
    "ops": read_permissions,
    "types": read_patterns,
    "caps": read_patterns,
    "max_queued": read_max_queued,
    "rps": read_rps,
}


def _split(word: str, number: int) -> tuple[str, str]:
    match = _WORD.fullmatch(word)
    if match is None or match["key"] not in _READERS:
        shown = f", {match['key']}=," if match is not None else ""
        expected = ", ".join(f"{key}=" for key in _READERS)
        raise ValueError(f"word {number}{shown} is unknown, expected one of {expected}")
    return match["key"], match["value"]
