"""The prose of the documentation, without what is no English: code, addresses, comments.

`python -m deploy.docs.spelling` adds each word that the dictionary does not know to words.txt, and removes those that
no page uses any more. Read the difference before you commit it: a misspelling does not belong there.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from deploy.docs.repository import ROOT

DICTIONARY = "en_GB"

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


def pages() -> list[Path]:
    """Return the Markdown files that people read: those of the root, of docs/, clients/ and examples/."""
    folders = ("docs", "clients", "examples")
    found = [*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.md"))]
    return sorted(path for path in found if "node_modules" not in path.parts)


def unknown(candidates: set[str]) -> set[str]:
    """Return the words, of more than one letter, that the dictionary does not know.

    Raises:
        OSError: hunspell is not installed.
    """
    done = subprocess.run(
        ["hunspell", "-l", "-d", DICTIONARY, "-i", "utf-8"],
        input="\n".join(sorted(candidates)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {word for word in done.stdout.split() if len(word) > 1}


def used() -> dict[str, str]:
    """Return each word of the pages, without a possessive, and where it first stands."""
    places: dict[str, str] = {}
    for page in pages():
        for line, word in words(page.read_text()):
            places.setdefault(word.removesuffix("'s"), f"{page.relative_to(ROOT)}:{line}")
    return places


if __name__ == "__main__":
    listed = sorted(unknown(set(used())), key=lambda word: (word.lower(), word))
    WORDS.write_text("".join(f"{word}\n" for word in listed))
