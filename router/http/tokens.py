"""Authenticates requests with the bearer tokens of a file."""

from __future__ import annotations

import argparse
import hmac
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from router.access.permissions import TypesAt
from router.access.request_rate import RequestRate
from router.access.token import Token
from router.access.token_file import new_token, read_tokens
from router.api.fields import DEFAULT_QUEUE_TYPE
from router.api.routes.route import Route
from router.api.routes.table import SERVED
from router.http.request import Request
from sharq_core.config import Config
from sharq_core.errors import Overloaded, Unauthorized

_SHORT_BYTES = 8
_MAX_TOKEN_CHARACTERS = 200
_BEARER: Final = "bearer "


class Guard:
    """The check that a request has a known token which allows its operation, or that the operation needs none.

    Args:
        path: the file of tokens. The constructor reads it.
        open_operations: the operations that need no token.
        routes: all operations.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, path: Path, open_operations: frozenset[str], routes: Iterable[Route] = SERVED) -> None:
        self.path = path
        self._open = open_operations
        self._routes = {route.operation: route for route in routes}
        self._rates: dict[str, RequestRate] = {}
        self._tokens: dict[bytes, Token] = {}
        self.read_again()

    def read_again(self) -> None:
        """Read the file of tokens again.

        Raises:
            ConfigError: the file cannot be used. The previous tokens stay in force.
        """
        tokens = read_tokens(self.path)
        self._tokens = {token.digest[:_SHORT_BYTES]: token for token in tokens}
        self._rates = _rates(tokens, self._rates)

    def still_has(self, token: Token) -> bool:
        """Return True if the file has the token, with the same rights."""
        return self._tokens.get(token.digest[:_SHORT_BYTES]) == token

    def check(self, request: Request, operation: str) -> None:
        """Raise if the request is not authorized. Cost: about 2 µs for a token without limits.

        Raises:
            Unauthorized: the request has no token, or an unknown one. Nothing was done.
            Forbidden: the token does not allow this operation, or this queue type. Nothing was done.
            Overloaded: the token has used up its requests of this second. Nothing was done.
        """
        if operation in self._open:
            return
        given = request.headers.get("Authorization", "")
        if given[: len(_BEARER)].lower() != _BEARER:
            raise Unauthorized("a token is required: Authorization: Bearer <token>")
        token = self._find(given[len(_BEARER) :].strip())
        if token is None:
            raise Unauthorized("the token is unknown")
        request.token = token
        if token.is_limited:
            self._check_limits(request, operation, token)

    def _find(self, secret: str) -> Token | None:
        """Return the token of the file; None if it is not there.

        The lookup uses the first bytes of the digest, which a caller cannot choose; the whole digest is then compared
        in constant time.
        """
        if len(secret) > _MAX_TOKEN_CHARACTERS:
            return None
        digest = sha256(secret.encode("utf-8", "surrogateescape")).digest()
        candidate = self._tokens.get(digest[:_SHORT_BYTES])
        return candidate if candidate is not None and hmac.compare_digest(candidate.digest, digest) else None

    def _check_limits(self, request: Request, operation: str, token: Token) -> None:
        rate = self._rates.get(token.name)
        if rate is not None and not rate.take():
            raise Overloaded(f"the token {token.name} may send {rate.rps} requests per second to a router")
        route = self._routes[operation]
        token.check_permission(route.permissions)
        if token.types is not None:
            _check_types(request, route.types, token)


def _check_types(request: Request, place: TypesAt, token: Token) -> None:
    """Raise Forbidden if the head of a request names a queue type that the token may not use."""
    queue_type = request.path_values.get("queue_type")
    if queue_type is not None:
        token.check_type(queue_type)
    elif place is TypesAt.QUERY:
        for queue_type in request.query.getall("type", (DEFAULT_QUEUE_TYPE,)):
            token.check_type(queue_type)
    elif place is TypesAt.ALL:
        token.check_all_types()


def _rates(tokens: Sequence[Token], previous: Mapping[str, RequestRate]) -> dict[str, RequestRate]:
    """Return the request rates by name. One whose name stays keeps what is used of it."""
    rates: dict[str, RequestRate] = {}
    for token in tokens:
        if token.rps is None:
            continue
        rate = previous.get(token.name)
        if rate is None:
            rate = RequestRate(token.rps)
        elif rate.rps != token.rps:
            rate.change(token.rps)
        rates[token.name] = rate
    return rates


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
