"""Authenticates requests with the bearer tokens of a file.

A token has 256 random bits, so an unsalted SHA-256 in the file does not reveal it. Not here: the response to a refused
request (router/http/errors.py), and the reload of the file (sharq_core/process/file_reload.py).
"""

from __future__ import annotations

import argparse
import hmac
import re
import secrets
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from msgspec import Struct

from router.api.routes.table import SERVED
from router.http.request import Request
from sharq_core.config import Config
from sharq_core.config.kinds import shown_path
from sharq_core.errors import ConfigError, Unauthorized

_PREFIX = "sharq_"
"""The prefix by which secret scanners recognise a token in a repository or log."""

_RANDOM_BYTES = 32
_SHORT_BYTES = 8
_MAX_FILE_BYTES = 1 << 20
_MAX_TOKEN_CHARACTERS = 200
_LINE = re.compile(r"(?P<name>[A-Za-z0-9_.@+-]{1,100})\s+sha256:(?P<digest>[0-9a-f]{64})")
_BEARER: Final = "bearer "


class Token(Struct, frozen=True):
    """A token of the file: its name, and the SHA-256 of the token itself."""

    name: str
    digest: bytes


class Guard:
    """The check that a request has a known token, or that its operation needs none.

    Args:
        path: the file of tokens. The constructor reads it.
        open_operations: the operations that need no token.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, path: Path, open_operations: frozenset[str]) -> None:
        self.path = path
        self._open = open_operations
        self._tokens = _by_short(read_tokens(path))

    def read_again(self) -> None:
        """Read the file of tokens again.

        Raises:
            ConfigError: the file cannot be used. The previous tokens stay in force.
        """
        self._tokens = _by_short(read_tokens(self.path))

    def check(self, request: Request, operation: str) -> None:
        """Raise if the request is not authorized. Cost: about 2 µs for a request with a token.

        Raises:
            Unauthorized: the request has no token, or an unknown one. Nothing was done.
        """
        if operation in self._open:
            return
        given = request.headers.get("Authorization", "")
        if given[: len(_BEARER)].lower() != _BEARER:
            raise Unauthorized("a token is required: Authorization: Bearer <token>")
        if not self._knows(given[len(_BEARER) :].strip()):
            raise Unauthorized("the token is unknown")

    def _knows(self, token: str) -> bool:
        """Return True if the token is in the file.

        The lookup uses the first bytes of the digest, which a caller cannot choose; the whole digest is then compared
        in constant time.
        """
        if len(token) > _MAX_TOKEN_CHARACTERS:
            return False
        digest = sha256(token.encode("utf-8", "surrogateescape")).digest()
        candidate = self._tokens.get(digest[:_SHORT_BYTES])
        return candidate is not None and hmac.compare_digest(candidate.digest, digest)


def make_guard(config: Config) -> Guard | None:
    """Return the guard that [auth] configures; None if no token is required.

    Raises:
        ConfigError: the file of tokens cannot be used.
    """
    if config.auth.tokens_file is None:
        return None
    is_open = {route.operation for route in SERVED if route.is_open}
    metrics = {"prometheus"} if config.auth.metrics_open else set()
    return Guard(config.auth.tokens_file, frozenset(is_open | metrics))


def read_tokens(path: Path) -> list[Token]:
    """Return the tokens of a file, at least one.

    Each line has the form `NAME sha256:DIGEST`. Blank lines and # comments are skipped.

    Raises:
        ConfigError: the file cannot be read, has no token, or has an invalid line. The message never quotes a line,
            since it may contain a token.
    """
    origin = f"[auth] tokens_file: {shown_path(path)}"
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{origin} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{origin} is not UTF-8") from None
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigError(f"{origin} is larger than {_MAX_FILE_BYTES} bytes")
    tokens = [
        _parse_line(line, f"{origin}: line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    _check_tokens(tokens, origin)
    return tokens


def new_token(name: str) -> tuple[str, str]:
    """Return a new token and its line for the file.

    Raises:
        ValueError: the name is not valid.
    """
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    line = f"{name} sha256:{sha256(token.encode()).hexdigest()}"
    if _LINE.fullmatch(line) is None:
        raise ValueError("expected a name of 1 to 100 of A-Z a-z 0-9 _ . @ + -")
    return token, line


class PrintNewToken(argparse.Action):
    """The action of `--new-token NAME`: print the token, once, and its line for the file, then exit."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        """Print the token and its line, and end the process."""
        try:
            token, line = new_token(str(values))
        except ValueError as error:
            parser.error(f"argument {option_string}: {error}")
        print(f"token for the client (shown only once):\n  {token}\nline for tokens_file:\n  {line}")  # noqa: T201
        parser.exit()


def _parse_line(line: str, origin: str) -> Token:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise ConfigError(f"{origin}: expected NAME sha256:<64 hexadecimal digits>")
    return Token(match["name"], bytes.fromhex(match["digest"]))


def _check_tokens(tokens: Sequence[Token], origin: str) -> None:
    if not tokens:
        raise ConfigError(f"{origin} has no token; create one with sharq-server --new-token NAME")
    seen: set[str] = set()
    for token in tokens:
        if token.name in seen:
            raise ConfigError(f"{origin}: the name {token.name} occurs twice")
        seen.add(token.name)


def _by_short(tokens: Sequence[Token]) -> dict[bytes, Token]:
    return {token.digest[:_SHORT_BYTES]: token for token in tokens}
