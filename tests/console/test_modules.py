"""The console's modules that need no browser, tested in node: texts, scales, rates, judgements and addresses."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.clients.typescript.workspace import run
from tests.support.foreign.libraries import node

STATIC = Path(__file__).parents[2] / "router" / "console" / "static"
TESTS = sorted((Path(__file__).parent / "modules").glob("*.test.js"))


def test_modules_keep_their_promises_in_node(tmp_path: Path) -> None:
    # Node takes a .js file for a module only below a package that says so, which a browser does not need.
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copytree(STATIC, tmp_path / "static")
    copies = [shutil.copy(path, tmp_path) for path in TESTS]
    assert copies
    run(node(), "--test", *copies, cwd=tmp_path)
