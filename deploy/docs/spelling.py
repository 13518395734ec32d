"""The prose of the documentation, without what is no English: code, addresses, comments."""

from __future__ import annotations

import re
from pathlib import Path

WORDS = Path(__file__).with_name("words.txt")
"""Words that the dictionary does not know: names, terms of the field, and ours. Sorted, one a line."""

_NO_PROSE = (
    re.compile(r"^( *)(```+).*?^\1\2$", re.MULTILINE | re.DOTALL),
    re.compile(r"(?<=[^ \n]\n\n)(?: {4}[^\n]*\n)+"),  # a block that is indented instead of fenced
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL),
    re.compile(r"\]\([^()\s]*\)"),
    re.compile(r"https?://\S+"),
    re.compile(r"<[^<>\s]+>"),
    re.compile(r"\b[\w./-]+\.(md|py|lua|yml|yaml|conf|csv|svg|json)\b"),
    re.compile(r"\b\w*[_\d]\w*\b"),
    re.compile(r"\bSharq[A-Z]\w+"),  # names of alerts
)
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")


def prose(markdown: str) -> str:
    """Return the text of a page with everything that is no prose replaced by blanks; lines keep their numbers."""
    for pattern in _NO_PROSE:
        markdown = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), markdown)
    return markdown


def words(markdown: str) -> list[tuple[int, str]]:
    """Return the words of a page's prose with their lines, from 1."""
    lines = prose(markdown).splitlines()
    return [(number, word) for number, line in enumerate(lines, 1) for word in _WORD.findall(line)]
