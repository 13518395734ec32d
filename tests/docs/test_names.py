"""Pages for those who change the code name files and functions that exist."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

_PAGES = ("CONTRIBUTING.md", "docs/architecture.md", "docs/extending.md", "docs/decisions/*.md")
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"\w[\w./-]*\.(?:py|lua|sha256)")
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*(?:\(\))?")
_OF_OTHERS = frozenset({"SO_REUSEPORT"})
"""Names that are nowhere in the code, because a page tells why something was rejected."""


@cache
def _files() -> tuple[str, ...]:
    output = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(output.splitlines())


@cache
def _words() -> frozenset[str]:
    """Return the words of all source files but this one."""
    ends = (".py", ".lua", ".ts", ".toml", ".yml", "Makefile")
    paths = (ROOT / name for name in _files() if name.endswith(ends))
    texts = (path.read_text("utf-8") for path in paths if path.is_file() and path != Path(__file__))
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))


def _is_known(code: str) -> bool:
    """Return True if code of a page is no name, or one of a file or of something in the source."""
    if _FILE.fullmatch(code):
        return any(f"/{name}".endswith(f"/{code}") for name in _files())
    if not _NAME.fullmatch(code) or code in _OF_OTHERS:
        return True
    return set(re.findall(r"\w+", code)) <= _words()


def test_files_and_names_of_the_pages_about_the_code_exist() -> None:
    pages = [page for pattern in _PAGES for page in sorted(ROOT.glob(pattern))]
    assert len(pages) > 20
    unknown = {
        f"{page.relative_to(ROOT)}: {code}"
        for page in pages
        for code in _CODE.findall(page.read_text("utf-8"))
        if not _is_known(code)
    }
    assert unknown == set()


@pytest.mark.parametrize(
    ("code", "is_known"),
    [
        ("router/api/parsing.py", True),
        ("parsing.py", True),
        ("router/parsing.py", False),
        ("sing.py", False),
        ("Dispatch.route_job", True),
        ("Dispatch.give_back_all", False),
        ("make bench ARGS=store", True),
    ],
)
def test_a_name_that_is_gone_is_found(code: str, *, is_known: bool) -> None:
    assert _is_known(code) is is_known
