"""Reads the request line: the verb, the names in the path, and the query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from sharq_client import errors
from sharq_client.testing.engine.rates import to_us
from sharq_client.testing.wire.decoding import query
from sharq_client.testing.wire.fields import (
    IDENTIFIER_PATTERN,
    IDENTIFIER_WORDS,
    QUEUE_TYPE_PATTERN,
    QUEUE_TYPE_WORDS,
)
from sharq_client.testing.wire.shapes import Query


class Request:
    """A request.

    Attributes:
        route: the method and the path with * for each name, as "POST /enqueue/*/*/".
        names: the names in the path.
        body: the body, empty for none.
    """

    def __init__(self, method: str, url: str, body: bytes) -> None:
        parts = urlsplit(url)
        segments = [unquote(word) for word in parts.path.strip("/").split("/")]
        shape, self._named = _match(segments)
        # `/metrics` is the Prometheus text, and `/metrics/` the counts. The slash of other paths means nothing.
        self.route = f"{method} {'/metrics' if parts.path == '/metrics' else shape}"
        self.body = body
        self._query = parts.query

    @property
    def verb(self) -> str:
        """The first word of the path, such as "enqueue"."""
        return self.route.split("/")[1]

    @cached_property
    def names(self) -> Sequence[str]:
        """The names in the path; raises InvalidRequest if one is not an identifier."""
        for field, name in self._named:
            pattern, expected = (
                (QUEUE_TYPE_PATTERN, QUEUE_TYPE_WORDS)
                if field == "queue_type"
                else (IDENTIFIER_PATTERN, IDENTIFIER_WORDS)
            )
            if not re.match(pattern, name):
                raise errors.InvalidRequest(f"{field}: expected {expected}; it is in the path")
        return [name for _, name in self._named]

    @cached_property
    def query(self) -> Query:
        """The query; raises InvalidRequest if a parameter does not fit."""
        return query(parse_qs(self._query, keep_blank_values=True), Query)

    @property
    def is_write(self) -> bool:
        """True if the request may change something."""
        return not self.route.startswith("GET ")

    @property
    def wait_us(self) -> int:
        """The time for which the request may wait for its answer; 0 if its query does not fit."""
        try:
            return to_us(self.query.wait)
        except errors.InvalidRequest:
            return 0

    @property
    def queue_types(self) -> Sequence[str]:
        """The types of a dequeue; raises InvalidRequest if one is wrong, or if there are too many."""
        types = list(dict.fromkeys(self.query.type)) or list(self.names[:1]) or ["default"]
        if len(types) > 16:
            raise errors.InvalidRequest(
                f"type: expected 1 to 16 queue types, each {QUEUE_TYPE_WORDS}, got more"
            )
        return types


_SHAPES = {
    ("enqueue", "finish", "release", "extend", "job", "dead"): ("queue_type", "queue_id", "job_id"),
    ("interval", "queue", "metrics", "deletequeue"): ("queue_type", "queue_id"),
    ("dequeue", "queues", "type"): ("queue_type",),
    ("batch",): ("queue_type", "batch"),
}
_NAMES = {verb: names for verbs, names in _SHAPES.items() for verb in verbs}


def _match(segments: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the shape of a path, and its names with their fields."""
    verb, *rest = segments
    fields = _NAMES.get(verb, ())
    # A word after the names is an action, such as "pause". `/dead/sms/redrive/` has fewer names than it may have.
    has_action = len(rest) > len(fields) or (verb == "dead" and len(rest) == 2)
    action = rest.pop() if has_action else None
    named = list(zip(fields, rest, strict=False))
    shape = "/".join(["", verb, *("*" for _ in named), *([action] if action else []), ""])
    return shape, named


def refuse(feature: str) -> NoReturn:
    """Raise the error of a request that uses a feature which the fake does not have."""
    raise NotImplementedError(f"sharq_client.testing: {feature} are not part of the fake")
