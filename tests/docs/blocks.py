"""Finds the fenced blocks of code in the documentation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec

from deploy.docs.repository import ROOT
from deploy.docs.spelling import pages

__all__ = ["ROOT", "Block", "all_blocks", "blocks", "pages"]

_BLOCK = re.compile(r'^( *)(```+)(\w*)(?: title="([^"]+)")?\n(.*?)^\1\2$', re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^ *```", re.MULTILINE)


class Block(msgspec.Struct, frozen=True):
    """One block of code.

    Attributes:
        page: path of the file in the repository.
        line: of its opening fence, from 1.
        language: the word after the fence; empty for none.
        title: the name of the file that it shows; empty for none.
    """

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        """The page and the line of the block, as an editor opens them."""
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> Iterator[Block]:
    """Yield the blocks of a page, in order.

    Raises:
        AssertionError: a fence is not closed, or is written in a way that this module does not know.
    """
    text, page = path.read_text(), path.relative_to(ROOT).as_posix()
    found = list(_BLOCK.finditer(text))
    assert 2 * len(found) == len(_FENCE.findall(text)), f"{page}: a fence of another form"
    for match in found:
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, match[3], match[4] or "", textwrap.dedent(match[5]))


def all_blocks() -> list[Block]:
    """Return the blocks of all pages."""
    return [block for page in pages() for block in blocks(page)]
