"""The indentation of lists: CommonMark's, which code hosts read, becomes the four spaces that Python-Markdown wants."""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKER = re.compile(r"^( *)([-*+]|\d{1,9}[.)])( +)(?=\S)")
_FENCE = re.compile(r"^ *(```+|~~~+)")
_STEP = 4


def indent_lists(markdown: str) -> str:
    """Return the Markdown with the text of each list item four spaces to the right of its marker's column.

    A list that follows a paragraph without a blank line gets one, which Python-Markdown needs, too.
    """
    return "".join(f"{line}\n" for line in _indented(markdown.split("\n"))).removesuffix("\n")


def _indented(lines: list[str]) -> Iterator[str]:
    columns: list[int] = []  # where the text of each open item begins, outermost first
    fence = ""
    before = ""
    for line in lines:
        width = len(line) - len(line.lstrip(" "))
        if not fence and line.strip():
            while columns and width < columns[-1] and not _goes_on(line, before):
                columns.pop()
        found = None if fence else _MARKER.match(line)
        if found:
            if not columns and before.strip() and not _MARKER.match(before) and not before.startswith(" "):
                yield ""
            yield " " * _STEP * len(columns) + found[2] + " " + line[found.end() :]
            columns.append(found.end())
        else:
            column = columns[-1] if columns else 0
            yield (" " * _STEP * len(columns) + line[min(column, width) :]) if line.strip() else line
        fence = _after(fence, line)
        before = line


def _goes_on(line: str, before: str) -> bool:
    """Return True if a line that stands too far to the left still belongs to the paragraph before it."""
    return (
        bool(before.strip())
        and not _MARKER.match(line)
        and not _FENCE.match(line)
        and not line.startswith("#")
    )


def _after(fence: str, line: str) -> str:
    """Return the fence that is open after a line, or nothing."""
    found = _FENCE.match(line)
    if not found:
        return fence
    if not fence:
        return found[1]
    return "" if found[1].startswith(fence) else fence
