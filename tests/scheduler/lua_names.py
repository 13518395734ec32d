"""The names that the Lua files of the function library share, found in their text.

The library is one chunk, so every local at the left margin of a file is visible in all files after it.
"""

from __future__ import annotations

import re

_STRINGS_AND_COMMENTS = re.compile(r"'(?:\\.|[^'\\\n])*'|--[^\n]*")
_LOCALS = re.compile(r"^local (?!function\b)(\w+(?:, \w+)*)", re.MULTILINE)
_FUNCTIONS = re.compile(r"^local function (\w+)", re.MULTILINE)
# Neither a field (after a dot) nor the key of a table's entry (before a single equals sign).
_NAMES = re.compile(r"(?<![\w.:])[A-Za-z_]\w*\b(?!\s*=[^=])")
_USES = re.compile(r"^-- Uses: (.*(?:(?<=,)\n-- .*)*)$", re.MULTILINE)


def names_shared(text: str) -> set[str]:
    """Return the locals of a file that later files can see."""
    code = _code(text)
    shared = {name for names in _LOCALS.findall(code) for name in names.split(", ")}
    return shared | set(_FUNCTIONS.findall(code))


def names_read(text: str) -> set[str]:
    """Return the names that a file reads, local ones included."""
    return set(_NAMES.findall(_code(text)))


def files_used(files: list[tuple[str, str]], name: str) -> list[str]:
    """Return which files before a file it takes shared locals from, in the order of the library."""
    names = [other for other, _ in files]
    position = names.index(name)
    wanted = names_read(files[position][1]) - names_shared(files[position][1])
    return [other for other, text in files[:position] if names_shared(text) & wanted]


def files_declared(text: str) -> list[str] | None:
    """Return what the Uses line of a file names, or None if it does not have exactly one such line."""
    lines = _USES.findall(text)
    if len(lines) != 1:
        return None
    return [] if lines[0] == "nothing" else re.split(r",(?: |\n-- )", lines[0])


def _code(text: str) -> str:
    return _STRINGS_AND_COMMENTS.sub(lambda match: "''" if match[0][0] == "'" else "", text)
