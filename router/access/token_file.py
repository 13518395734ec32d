"""Reads the file of tokens, and makes new tokens and their lines.

A token has 256 random bits, so an unsalted SHA-256 in the file does not reveal it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from router.access.token import Token
from router.access.words import is_token_name, parse_line
from sharq_core.config.kinds import shown_path
from sharq_core.errors import ConfigError

_PREFIX = "sharq_"
"""The prefix by which secret scanners recognise a token in a repository or log."""

_RANDOM_BYTES = 32
MAX_FILE_BYTES = 1 << 20


def read_tokens(path: Path) -> list[Token]:
    """Return the tokens of a file, at least one.

    Each line has the form `NAME sha256:DIGEST [ops=…] [types=…] [caps=…] [max_queued=…] [rps=…]`. Blank lines and #
    comments are skipped.

    Raises:
        ConfigError: the file cannot be read, has no token, or has an invalid line. The message never quotes a line,
            since it may contain a token.
    """
    origin = f"[auth] tokens_file: {shown_path(path)}"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{origin} cannot be read: {error.strerror}") from error
    return parse_tokens(content, origin)


def parse_tokens(content: bytes, origin: str) -> list[Token]:
    """Return the tokens of the content of a file, at least one.

    Args:
        origin: the file, for errors.

    Raises:
        ConfigError: it has no token, or an invalid line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{origin} is not UTF-8") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{origin} is larger than {MAX_FILE_BYTES} bytes")
    tokens = [
        _parse(line, f"{origin}: line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if is_token_line(line)
    ]
    _check_tokens(tokens, origin)
    return tokens


def is_token_line(line: str) -> bool:
    """Return True unless a line of the file is blank or a comment."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def new_token(name: str) -> tuple[str, str]:
    """Return a new token and its line for the file.

    Raises:
        ValueError: the name is not valid.
    """
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    line = f"{name} sha256:{sha256(token.encode()).hexdigest()}"
    if not is_token_name(name):
        raise ValueError("expected a name of 1 to 100 of A-Z a-z 0-9 _ . @ + -")
    return token, line


def _parse(line: str, origin: str) -> Token:
    try:
        return parse_line(line)
    except ValueError as error:
        raise ConfigError(f"{origin}: {error}") from None


def _check_tokens(tokens: Sequence[Token], origin: str) -> None:
    if not tokens:
        raise ConfigError(f"{origin} has no token; create one with sharq-server --new-token NAME")
    seen: set[str] = set()
    by_digest: dict[bytes, Token] = {}
    for token in tokens:
        if token.name in seen:
            raise ConfigError(f"{origin}: the name {token.name} occurs twice")
        seen.add(token.name)
        first = by_digest.setdefault(token.digest, token)
        if replace(token, name=first.name) != first:
            raise ConfigError(
                f"{origin}: {first.name} and {token.name} are the same token with different words"
            )
