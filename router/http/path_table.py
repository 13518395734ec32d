"""Finds what a request's method and path stand for.

Our own, since the framework's takes a quarter of a small request's time (it tries patterns one by one). Not here: which
paths there are (router/api/routes.py).
"""

from __future__ import annotations

from typing import Generic, TypeVar
from urllib.parse import unquote

from sharq_core.errors import MethodNotAllowed, NotFound

TargetT = TypeVar("TargetT")


class Paths(Generic[TargetT]):
    """Targets by method and path. A path is literal segments and `{name}`s, each of which stands for one segment."""

    def __init__(self) -> None:
        self._patterns: dict[tuple[int, str], list[_Pattern[TargetT]]] = {}

    def add(self, method: str, path: str, target: TargetT) -> None:
        """Serve a path, which begins with a literal segment, under a method."""
        segments = path.split("/")
        alike = self._patterns.setdefault((len(segments), segments[1]), [])
        pattern = next((known for known in alike if known.segments == segments), None)
        if pattern is None:
            pattern = _Pattern(segments)
            alike.append(pattern)
        pattern.targets[method] = target

    def find(self, method: str, raw_path: str) -> tuple[TargetT, dict[str, str]]:
        """The target, and the percent-decoded value of each name in the path.

        Raises:
            NotFound, MethodNotAllowed: it stands for nothing.
        """
        segments = raw_path.split("/")
        for pattern in self._patterns.get((len(segments), segments[1] if len(segments) > 1 else ""), ()):
            values = pattern.values(segments)
            if values is not None:
                target = pattern.targets.get(method)
                if target is None:
                    raise MethodNotAllowed(f"{method} is not a method of this path", tuple(pattern.targets))
                return target, values
        raise NotFound("no such path")

    def targets(self) -> list[TargetT]:
        """What is served, each target as often as it is."""
        return [
            target
            for patterns in self._patterns.values()
            for pattern in patterns
            for target in pattern.targets.values()
        ]

    def all(self) -> list[tuple[str, str]]:
        """Every (method, path) that is served."""
        return [
            (method, "/".join(pattern.segments))
            for patterns in self._patterns.values()
            for pattern in patterns
            for method in pattern.targets
        ]


class _Pattern(Generic[TargetT]):
    """One path with its targets by method."""

    def __init__(self, segments: list[str]) -> None:
        self.segments = segments
        self.targets: dict[str, TargetT] = {}
        places = list(enumerate(segments))
        self._literals = [(at, text) for at, text in places if not text.startswith("{")]
        self._names = [(at, text[1:-1]) for at, text in places if text.startswith("{")]

    def values(self, segments: list[str]) -> dict[str, str] | None:
        """The values of the names, or None when the segments are no such path."""
        for at, text in self._literals:
            if segments[at] != text:
                return None
        values: dict[str, str] = {}
        for at, name in self._names:
            value = segments[at]
            if not value:
                return None
            values[name] = unquote(value) if "%" in value else value
        return values
