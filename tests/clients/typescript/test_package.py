"""The package as its users get it: checked, generated from the server's document, packed, installed and compiled."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.clients.typescript.workspace import PACKAGE, SUITE, Workspace, npm, run, tsc
from tests.support.foreign.libraries import node
from tests.support.processes.servers import SharqServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GENERATED = PACKAGE / "src" / "generated" / "openapi.ts"

PROGRAM = """
import { Client, QueueFull, type LeasedJob } from "sharq-client";

interface Sms { to: string }
const client = new Client({ url: process.argv[2] ?? "" });
const type = process.argv[3] ?? "";
await client.enqueue({ queue_type: type, queue_id: "acme", payload: { to: "+15550100" }, interval: 0 });
const job: LeasedJob<Sms> | null = await client.dequeue<Sms>(type, { waitMs: 2_000 });
if (job !== null) {
  console.log(job.payload.to, await client.finish(job), QueueFull.name);
}
client.close();
"""

SCRIPT = """
const { Client } = require("sharq-client");
const client = new Client({ url: process.argv[2] });
client.healthz().then((isHealthy) => {
  console.log(isHealthy);
  client.close();
});
"""


def test_the_generated_types_are_those_of_the_server(workspace: Workspace, server: SharqServer) -> None:
    script = workspace.client / "scripts" / "generate.mjs"
    generated = run(node(), script, f"{server.url}/openapi.json", "-", cwd=workspace.client)
    assert generated == GENERATED.read_text(), "run `npm run generate` in clients/typescript with this server"


def test_sources_and_tests_are_formatted(workspace: Workspace) -> None:
    """Prettier reads a text again if it, the options or the version of Prettier changed, or it was badly formatted."""
    prettier = workspace.tools / "prettier" / "bin" / "prettier.cjs"
    config: list[str | Path] = ["--config", workspace.client / ".prettierrc.json"]
    cache: list[str | Path] = ["--cache", "--cache-strategy", "content", "--cache-location"]
    paths = [workspace.client / "src", workspace.client / "scripts", *sorted(SUITE.glob("*.ts"))]
    ignored: list[str | Path] = ["--ignore-path", workspace.client / ".prettierignore"]
    found = workspace.client.parent / "formatted"
    run(node(), prettier, "--check", *config, *cache, found, *ignored, *paths, cwd=workspace.client)


def test_the_lock_file_names_no_registry() -> None:
    text = (PACKAGE / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert not re.search(
        r"https?://(?!(www\.)?(github\.com|opencollective\.com|paypal\.me|tidelift\.com))", text
    )


def test_the_package_is_installed_and_used_by_programs(
    workspace: Workspace, server: SharqServer, kind: str, tmp_path: Path
) -> None:
    packed = json.loads(npm("pack", "--json", "--ignore-scripts", str(workspace.client), cwd=tmp_path))
    names = {file["path"] for file in packed[0]["files"]}
    assert {"dist/esm/index.d.ts", "dist/cjs/index.js", "README.md", "LICENSE", "src/index.ts"} <= names
    assert not {name for name in names if name.startswith(("scripts/", "node_modules/"))}
    application = tmp_path / "application"
    application.mkdir()
    (application / "package.json").write_text('{"type": "module", "private": true}')
    npm("install", "--offline", str(tmp_path / packed[0]["filename"]), cwd=application)
    assert [path.name for path in (application / "node_modules").glob("[!.]*")] == ["sharq-client"]
    (application / "node_modules" / "@types").symlink_to(workspace.tools / "@types")
    (application / "program.ts").write_text(PROGRAM)
    strict = ["--strict", "--exactOptionalPropertyTypes", "--target", "es2022", "--types", "node"]
    tsc(workspace.tools, *strict, "--module", "nodenext", "program.ts", cwd=application)
    assert run(node(), "program.js", server.url, kind, cwd=application) == "+15550100 null QueueFull\n"
    (application / "script.cjs").write_text(SCRIPT)
    assert run(node(), "script.cjs", server.url, cwd=application) == "true\n"
    shutil.rmtree(application)
