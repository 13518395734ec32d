"""Tools of other projects read the OpenAPI document: a linter finds nothing, and a generator makes types for programs.

tests/api/lint has their versions, the rules of the linter, and a program that uses the types; docs/api.md has another.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from router.api.openapi import build_openapi
from router.api.routes.table import ROUTES
from tests.support.foreign.libraries import node
from tests.support.foreign.npm import npm_ci
from tests.support.http.contract import Document
from tests.support.processes.servers import SharqServer

HERE = Path(__file__).parent / "lint"
PAGE = Path(__file__).parents[2] / "docs" / "api.md"
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}
STRICT = ["--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--skipLibCheck"]
MODERN = ["--module", "nodenext", "--target", "es2022"]
LIMIT_S = 60

PRINTED = """\
enqueue wrong
enqueue queued
bulk b
bulk c
bulk wrong jobs[2].burst: expected a number from 1 to 1000000 with at most two decimals
finish a 2 never success true
finish 2
job not_found
"""


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder of the tools."""
    return npm_ci(HERE, "openapi-tools")


@pytest.fixture
def document() -> Document:
    found: Document = json.loads(build_openapi(ROUTES))
    return found


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **QUIET}
    return subprocess.run(
        [node(), *command], cwd=cwd, env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def problems(document: Document, tools: Path, folder: Path) -> list[str]:
    """The rules that the linter finds broken, warnings included."""
    (folder / "openapi.json").write_text(json.dumps(document))
    redocly = tools / "node_modules" / "@redocly" / "cli" / "bin" / "cli.js"
    arguments = ["lint", "openapi.json", "--config", str(HERE / "redocly.yaml"), "--format", "json"]
    linted = run(redocly, *arguments, cwd=folder)
    assert linted.stdout, linted.stderr
    return [f"{found['ruleId']}: {found['message']}" for found in json.loads(linted.stdout)["problems"]]


def test_linter_finds_nothing(document: Document, tools: Path, tmp_path: Path) -> None:
    assert problems(document, tools, tmp_path) == []


def test_linter_would_find_faults(document: Document, tools: Path, tmp_path: Path) -> None:
    del document["servers"]
    document["tags"][0].pop("description")
    document["paths"]["/types/"]["get"]["operationId"] = "get_type"
    rules = {problem.partition(":")[0] for problem in problems(document, tools, tmp_path)}
    assert {"no-empty-servers", "tag-description", "operation-operationId-unique"} <= rules


@pytest.mark.slow
async def test_programs_with_generated_types_compile_and_run(
    document: Document, tools: Path, tmp_path: Path, server: SharqServer
) -> None:
    modules = tools / "node_modules"
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    for name in ("package.json", "program.ts"):
        (tmp_path / name).write_text((HERE / name).read_text())
    (tmp_path / "page.ts").write_text(program_of_the_page(server.url))
    made = run(
        modules / "openapi-typescript" / "bin" / "cli.js", "openapi.json", "-o", "openapi.d.ts", cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    compiler = modules / "typescript" / "bin" / "tsc"
    compiled = run(compiler, *STRICT, *MODERN, "program.ts", "page.ts", cwd=tmp_path)
    assert (compiled.stdout, compiled.returncode) == ("", 0)
    assert printed(tmp_path / "program.js", server.url) == PRINTED
    assert re.fullmatch(r"queued\n\[ '[0-9a-f-]{36}' \]\n", printed(tmp_path / "page.js"))


def program_of_the_page(url: str) -> str:
    """The program in docs/api.md, for the server at a URL."""
    program: str
    (program,) = re.findall(r"^```ts\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert "http://localhost:8080" in program
    return program.replace("http://localhost:8080", url)


def printed(*command: str | Path) -> str:
    """Run a program that ends well and warns of nothing, and return its output."""
    ran = run(*command, cwd=HERE)
    assert (ran.stderr, ran.returncode) == ("", 0)
    return ran.stdout
