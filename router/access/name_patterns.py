"""Matches queue types and caps with the patterns of `types=` and `caps=`, in which `*` stands for any text."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_PATTERNS = 100
_MAX_STARS = 4
"""The most stars of one pattern."""

_is_pattern = re.compile(r"[A-Za-z0-9_\-.+@~*]{1,100}").fullmatch


class NamePatterns:
    """The queue types or the caps of a token.

    Args:
        patterns: the patterns, at least one.

    Raises:
        ValueError: a pattern could not match any name, or there are too many.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if not 0 < len(patterns) <= MAX_PATTERNS:
            raise ValueError(f"expected 1 to {MAX_PATTERNS} patterns")
        for number, pattern in enumerate(patterns, 1):
            if not _is_pattern(pattern) or pattern.count("*") > _MAX_STARS:
                raise ValueError(
                    f"pattern {number}: expected 1 to 100 characters of A-Z a-z 0-9 _ - . + @ ~ and at most "
                    f"{_MAX_STARS} *"
                )
        self.patterns = tuple(patterns)
        self._matches = re.compile("|".join(map(_expression, patterns))).fullmatch

    def match(self, name: str) -> bool:
        """Return True if a name matches one of the patterns."""
        return self._matches(name) is not None

    def __eq__(self, other: object) -> bool:
        """Return True for the same patterns, as when the file is read again."""
        return isinstance(other, NamePatterns) and other.patterns == self.patterns

    def __hash__(self) -> int:
        """Return the hash of the patterns."""
        return hash(self.patterns)

    def __str__(self) -> str:
        """Return the patterns as the tokens file has them."""
        return ",".join(self.patterns)


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern.

    The texts between two stars are in atomic groups, which take the first place of a text and try no other one. The
    first place leaves the most to the rest of the pattern, so nothing is missed, and a match takes linear time. Without
    the groups, a caller could hold up the router with a long path.
    """
    first, *rest = map(re.escape, pattern.split("*"))
    if not rest:
        return first
    return first + "".join(f"(?>.*?{text})" for text in rest[:-1]) + f".*{rest[-1]}"
