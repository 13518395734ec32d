"""The documentation is spelled as British English is, and the words of ours are listed once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.docs.spelling import DICTIONARY, WORDS, pages, unknown, used, words
from tests.docs.blocks import ROOT
from tests.support.tools import missing_tool

CODESPELL = Path(sys.executable).with_name("codespell")


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    if shutil.which("hunspell") is None:
        missing_tool("hunspell")
    if not Path(f"/usr/share/hunspell/{DICTIONARY}.dic").exists():
        missing_tool(f"hunspell's dictionary {DICTIONARY}")


def test_every_word_is_in_the_dictionary_or_in_our_list() -> None:
    places = used()
    odd = unknown(set(places)) - set(WORDS.read_text().split())
    assert {word: places[word] for word in odd} == {}, "mend it, or run python -m deploy.docs.spelling"


def test_our_list_is_sorted_and_has_no_word_that_no_page_uses() -> None:
    listed = WORDS.read_text().split()
    assert listed == sorted(set(listed), key=lambda word: (word.lower(), word))
    assert set(listed) <= used().keys()


def test_no_common_misspelling() -> None:
    done = subprocess.run(
        [CODESPELL, *map(str, pages()), "mkdocs.yml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(("word", "is_wrong"), [("recieves", True), ("color", True), ("colour", False)])
def test_a_misspelling_is_found(word: str, is_wrong: bool) -> None:
    assert unknown({"The", "queue", word}) == ({word} if is_wrong else set())


def test_code_is_no_prose() -> None:
    text = "A `qwertz` and [link](asdf.md)\n```sh\nqwertz\n```\nend of https://qwertz.example/x\n"
    assert words(text) == [(1, "A"), (1, "and"), (1, "link"), (5, "end"), (5, "of")]
