"""The documentation is spelled as British English is, and the words of ours are listed once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.docs.spelling import WORDS, words
from tests.docs.blocks import ROOT, pages
from tests.support.tools import missing_tool

CODESPELL = Path(sys.executable).with_name("codespell")
SHORT = 1
"""Words of one letter, such as the `P` of a formula, are no words to look up."""


def unknown(text: str) -> set[str]:
    """Return the words of a text that neither the dictionary nor our list has."""
    if shutil.which("hunspell") is None:
        missing_tool("hunspell")
    if not Path("/usr/share/hunspell/en_GB.dic").exists():
        missing_tool("hunspell's dictionary en_GB")
    done = subprocess.run(
        ["hunspell", "-l", "-d", "en_GB", "-i", "utf-8"],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    known = set(WORDS.read_text().split())
    found = {word.removesuffix("'s") for word in done.stdout.split()}
    return {word for word in found - known if len(word) > SHORT}


def test_every_word_is_in_the_dictionary_or_in_our_list() -> None:
    places: dict[str, str] = {}
    for page in pages():
        for line, word in words(page.read_text()):
            places.setdefault(word.removesuffix("'s"), f"{page.relative_to(ROOT)}:{line}")
    odd = unknown("\n".join(places))
    assert {word: places.get(word) for word in odd} == {}, "mend it, or add it to deploy/docs/words.txt"


def test_our_list_is_sorted_and_has_no_word_that_no_page_uses() -> None:
    listed = WORDS.read_text().split()
    assert listed == sorted(set(listed), key=lambda word: (word.lower(), word))
    used = {word.removesuffix("'s") for page in pages() for _, word in words(page.read_text())}
    assert [word for word in listed if word not in used] == []


def test_no_common_misspelling() -> None:
    done = subprocess.run(
        [CODESPELL, *map(str, pages()), "mkdocs.yml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(("text", "wrong"), [("The queue recieves a job.", {"recieves"}), ("colour", set())])
def test_a_misspelling_is_found(text: str, wrong: set[str]) -> None:
    assert unknown(text) == wrong


def test_code_is_no_prose() -> None:
    text = "A `qwertz` and [link](asdf.md)\n```sh\nqwertz\n```\nend of https://qwertz.example/x\n"
    assert words(text) == [(1, "A"), (1, "and"), (1, "link"), (5, "end"), (5, "of")]
