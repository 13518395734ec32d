"""The console's modules: their types, their format and their size. They are served as they are, without a build."""

from __future__ import annotations

import re
from pathlib import Path

from tests.clients.typescript.workspace import PACKAGE, run, tools, tsc
from tests.support.foreign.libraries import node

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "router" / "console" / "static"
MODULES = sorted(STATIC.rglob("*.js"))
TESTS = Path(__file__).parent / "modules"

MAX_LINES = 300

_IMPORT = re.compile(r"""^import (?:[^"]* from )?"([^"]+)";|\bimport\(["`]([^"`]+)["`]\)""", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_UNSAFE = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function"
)
_ADDRESS = re.compile(r"https?://(?!www\.w3\.org/2000/svg)\S+")


def test_types_hold() -> None:
    tsc(tools(), "--project", str(TESTS / "tsconfig.json"), cwd=ROOT)


def test_modules_have_the_format_of_the_typescript_client() -> None:
    prettier = tools() / "prettier" / "bin" / "prettier.cjs"
    config = PACKAGE / ".prettierrc.json"
    run(node(), prettier, "--check", "--config", config, *MODULES, *sorted(TESTS.glob("*.js")), cwd=ROOT)


def test_modules_are_short() -> None:
    lengths = {str(path.relative_to(STATIC)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_import_names_a_module_of_the_console() -> None:
    missing = [
        f"{path.relative_to(STATIC)}: {name}"
        for path in MODULES
        for name in map("".join, _IMPORT.findall(path.read_text()))
        if not name.startswith(("./", "../")) or not ("${" in name or (path.parent / name).is_file())
    ]
    assert missing == []


def test_no_module_makes_markup_of_text() -> None:
    found = {path.name: _UNSAFE.findall(_COMMENT.sub("", path.read_text())) for path in MODULES}
    assert {name: words for name, words in found.items() if words} == {}


def test_no_file_names_another_host() -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert {path.name: found for path in files if (found := _ADDRESS.findall(path.read_text()))} == {}
