"""The blocks of code that no other test runs: single ones of pages that are prose for the rest."""

from __future__ import annotations

import asyncio
import functools
import json
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from router.access.words import parse_line, write_line
from sharq_client import AsyncClient, Cap, Client, RunningJob, TypeSettings, Worker
from sharq_client.cli.profiles import read_profiles
from sharq_client.testing import FakeSharq
from sharq_server.local_cluster.state_file import State
from tests.api.test_readme import curl, examples
from tests.api.test_reference import ReferenceComparison
from tests.docs.blocks import ROOT, blocks
from tests.support.json_schema import validate
from tests.support.processes.servers import SharqServer

URL = "http://127.0.0.1:8080"
DEADLINE_S = 60.0
PAGE_TIME_MS = 1_795_922_400_000
"""The time of the pages (tests/api/test_worked_examples.py)."""


def block(page: str, language: str, words: str = "") -> str:
    """Return the text of the one block of a page that has these words."""
    (found,) = [one.text for one in blocks(ROOT / page) if one.language == language and words in one.text]
    return found


async def test_holds_of_the_page_about_limits(server: SharqServer, kind: str) -> None:
    with Client(server.url) as client:
        client.enqueue(
            {"queue_type": kind, "queue_id": "acme", "job_id": "order-18", "payload": 1, "interval": 0}
        )
        job = client.dequeue(kind)
        assert job is not None
    text = block("docs/limits.md", "console", '"until"').replace("…", job.lease).replace("/sms/", f"/{kind}/")
    shift_ms = int(time.time() * 1000) - PAGE_TIME_MS
    text = re.sub(r"\b1795\d{9}\b", lambda found: str(int(found[0]) + shift_ms), text)
    commands = [command for command, _ in examples(f"```console\n{text}```")]
    assert len(commands) == 3
    for command in commands:
        assert json.loads(await curl(command, server.url)) == {"status": "success"}, command


async def test_quotas_of_the_page_about_limits(server: SharqServer, kind: str) -> None:
    settings = msgspec.json.decode(block("docs/limits.md", "json", '"quotas"'), type=TypeSettings)
    async with AsyncClient(server.url) as client:
        stats = await client.control.set_type(f"{kind}~skytel", settings)
    assert [quota.quota for quota in stats.quotas] == [2000]


async def test_cap_of_the_page_about_limits(server: SharqServer, kind: str) -> None:
    cap = msgspec.json.decode(block("docs/limits.md", "json", '"max_leased": 200'), type=Cap)
    async with AsyncClient(server.url) as client:
        state = await client.control.put_cap(kind, cap)
        assert (state.limits[0].rate, state.max_leased, state.blocked_by) == ("40/s", 200, "hold")
        await client.control.drop_cap(kind)


async def test_queues_that_are_behind(server: SharqServer, kind: str) -> None:
    comparison = ReferenceComparison()
    with Client(server.url) as client:
        client.enqueue_many(
            [{"queue_type": kind, "queue_id": "acme", "payload": n, "rate": "1/min"} for n in range(3)]
        )
        job = client.dequeue(kind)
        assert job is not None
        client.finish(job)
    ((command, printed),) = examples(f"```console\n{block('docs/metrics.md', 'console')}```")
    answer = await curl(command.replace("/sms/", f"/{kind}/"), server.url)
    comparison.check(json.loads(printed), json.loads(answer), command)


def test_a_new_token(tmp_path: Path) -> None:
    command, *printed = block("docs/security.md", "console").splitlines()
    _, program, *words = shlex.split(command)
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *words],
        cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=True,
    )  # fmt: skip
    forms = [re.escape(line).replace(r"\.\.\.", r"\S+") for line in printed]
    lines = done.stdout.splitlines()
    assert len(lines) == len(forms)
    assert all(re.fullmatch(form, line) for form, line in zip(forms, lines, strict=True)), done.stdout


def test_lines_of_tokens() -> None:
    lines = block("docs/security.md", "text", "ops=").replace("...", "0" * 64).splitlines()
    tokens = [parse_line(line) for line in lines]
    assert [token.name for token in tokens] == ["shop", "sms-workers", "on-call"]
    assert list(map(write_line, tokens)) == lines


def test_profiles_of_the_page_about_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = block("docs/command.md", "toml")
    (tmp_path / "sharq").mkdir()
    (tmp_path / "sharq" / "profiles.toml").write_text(text)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    profiles, default = read_profiles()
    assert profiles.keys() == tomllib.loads(text).keys() - {"default"}
    assert default == "local"


def test_state_of_a_cluster_on_one_machine() -> None:
    text = block("docs/cluster.md", "json")
    assert {process.role for process in msgspec.json.decode(text, type=State).processes} == {
        "router",
        "shard",
        "store",
    }


def test_a_line_of_the_log(server: SharqServer) -> None:
    printed = json.loads(block("docs/configuration.md", "json"))
    server.until(lambda: "{" in server.log)
    lines = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    assert lines
    for line in lines:
        assert list(line)[:4] == list(printed)[:4] == ["time", "level", "logger", "event"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_configuration_of_a_collector() -> None:
    settings = yaml.safe_load(block("docs/tracing.md", "yaml"))
    pipeline = settings["service"]["pipelines"]["traces"]
    assert pipeline["receivers"] == list(settings["receivers"])
    assert pipeline["exporters"] == list(settings["exporters"])


@pytest.mark.parametrize("words", ["# sharq.yaml", "# secure.yaml", "ingress:"])
def test_values_of_the_page_about_deployment(words: str) -> None:
    schema = json.loads((ROOT / "deploy" / "helm" / "sharq" / "values.schema.json").read_text())
    defaults = yaml.safe_load((ROOT / "deploy" / "helm" / "sharq" / "values.yaml").read_text())
    values = yaml.safe_load(block("docs/deploy.md", "yaml", words))
    validate(merged(defaults, values), schema)
    assert unknown(values, defaults) == []


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return values laid over defaults, as helm does it."""
    both = {**below, **above}
    for name in below.keys() & above.keys():
        if isinstance(below[name], dict) and isinstance(above[name], dict):
            both[name] = merged(below[name], above[name])
    return both


def unknown(values: dict[str, Any], defaults: dict[str, Any], place: str = "") -> list[str]:
    """Return the names that values.yaml does not have; an empty object there takes any."""
    found = []
    for name, value in values.items():
        if name not in defaults:
            found.append(f"{place}{name}")
        elif isinstance(value, dict) and defaults[name]:
            found += unknown(value, defaults[name], f"{place}{name}.")
    return found


def run_until_it_prints(program: str, server: SharqServer, folder: Path, line: str) -> None:
    """Run a program that works for ever until it has printed a line; it then ends by SIGTERM."""
    (folder / "program.py").write_text(program.replace(URL, server.url))
    command = [sys.executable, "-u", "program.py"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == line
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()


def test_the_worker_of_the_page_sends_and_stops(server: SharqServer, tmp_path: Path, kind: str) -> None:
    (tmp_path / "carrier.py").write_text("def send(to, text):\n    print(to, text)\n")
    with Client(server.url) as client:
        payload = {"to": "+15550100", "text": "Hello"}
        client.enqueue({"queue_type": kind, "queue_id": "acme", "payload": payload, "interval": 0})
    program = "import carrier\n" + block("docs/worker.md", "python", "worker.run_forever")
    run_until_it_prints(program.replace('"sms"', f'"{kind}"'), server, tmp_path, "+15550100 Hello\n")


def test_the_program_of_the_distribution(server: SharqServer, tmp_path: Path, kind: str) -> None:
    program = block("clients/python/README.md", "python").replace('"sms"', f'"{kind}"')
    run_until_it_prints(program, server, tmp_path, "acme +15550100\n")


def test_batches_and_middleware_of_the_page() -> None:
    sharq = FakeSharq()
    spans: list[str] = []
    sent: list[object] = []

    class Tracer:
        """Stands for a tracer: its span notes that it was begun and ended."""

        def start_as_current_span(self, name: str) -> Tracer:
            spans.append(name)
            return self

        def __enter__(self) -> None:
            spans.append("begins")

        def __exit__(self, *error: object) -> None:
            spans.append("ends")

    async def send(job: RunningJob) -> None:
        if job.payload == 2:
            raise RuntimeError("busy")
        sent.append(job.payload)

    worker = Worker(sharq.async_client())
    names = {"worker": worker, "RunningJob": RunningJob, "asyncio": asyncio, "send": send, "tracer": Tracer()}
    exec(block("docs/worker.md", "python", "batch=50"), names)
    for number in range(3):
        sharq.client().enqueue(
            {"queue_type": "sms", "queue_id": "acme", "payload": number, "interval": 0, "requeue_limit": 0}
        )
    sharq.run(worker)
    assert sent == [0, 1]
    assert [letter.error for letter in sharq.dead("sms")] == ["RuntimeError: busy"]

    worker = Worker(sharq.async_client(), "calls", lambda job: sent.append(job.payload))
    exec(block("docs/worker.md", "python", "worker.middleware"), names | {"worker": worker})
    sharq.client().enqueue({"queue_type": "calls", "queue_id": "acme", "payload": "call", "interval": 0})
    sharq.run(worker)
    assert sent[-1] == "call"
    assert spans == ["calls", "begins", "ends"]


def test_the_program_that_restarts_another(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "my_worker.py").write_text("print('works', flush=True)\nimport time\ntime.sleep(60)\n")
    program = tmp_path / "restarting.py"
    program.write_text(block("docs/worker.md", "python", "reload.run"))
    command = [sys.executable, "-u", program.name]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            read = functools.partial(process.stdout.readline)
            assert read() == "works\n"
            (tmp_path / "src" / "module.py").write_text("x = 1\n")
            while "works" not in (line := read()):
                assert line, "it has ended"
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(DEADLINE_S)
            finally:
                process.kill()
