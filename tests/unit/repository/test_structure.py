"""The shape of the tree: small folders, one meaning for each class name, docstrings that state the thing."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("router", "shard", "sharq_core", "sharq_server", "clients/python/sharq_client")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

TOOLS = sorted(path for folder in ("benchmarks", "deploy") for path in (ROOT / folder).rglob("*.py"))
"""Programs beside the product; their private classes may share names."""

TESTS = sorted((ROOT / "tests").rglob("*.py"))

MAX_MODULES = 14
MAX_LINES = 400

FORBIDDEN = frozenset(["What", "Which", "Who", "Whose", "Whoever", "How", "Where", "Whether", "When", "Of"])
"""First words of a docstring that paraphrases instead of stating."""

MAY_BE_ODD = re.compile(rf'["\']\s*(?:{"|".join(sorted(FORBIDDEN))})\b')
"""A text that begins with such a word. Only a module with one is parsed; to parse all takes seconds."""

CLIENT = ROOT / "clients/python/sharq_client"
"""The client has shapes and errors of its own under the names of the server's, because it imports nothing of it."""

GENERATED = CLIENT / "sync"
"""The sync client has the class names of the async one, from which it is generated."""


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the first line of each docstring of a module that may have an odd one."""
    text = path.read_text()
    if not MAY_BE_ODD.search(text):
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), (ast.get_docstring(node) or "").partition("\n")[0]


def test_no_folder_holds_more_than_fourteen_modules() -> None:
    counts = Counter(path.parent for path in [*MODULES, *TOOLS, *TESTS] if path.name != "__init__.py")
    assert {str(folder) for folder, count in counts.items() if count > MAX_MODULES} == set()


def test_modules_are_short() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in [*MODULES, *TOOLS, *TESTS]
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def homes_of_classes(modules: Iterable[Path]) -> dict[str, list[str]]:
    """Return class name → the modules that define it."""
    homes: dict[str, list[str]] = defaultdict(list)
    for path in modules:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(str(path.relative_to(ROOT)))
    return homes


def test_each_class_name_is_defined_once_in_the_server_and_once_in_the_client() -> None:
    client = [path for path in MODULES if path.is_relative_to(CLIENT) and not path.is_relative_to(GENERATED)]
    server = [path for path in MODULES if not path.is_relative_to(CLIENT)]
    for homes in (homes_of_classes(server), homes_of_classes(client)):
        assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_docstrings_state_the_thing() -> None:
    odd = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in [*MODULES, *TOOLS, *TESTS]
        for line, text in docstrings(path)
        if text.partition(" ")[0] in FORBIDDEN
    ]
    assert odd == []
