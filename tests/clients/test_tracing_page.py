"""The examples of docs/tracing.md do what the page says: the request, the setting, and the program."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from sharq_client import AsyncClient
from sharq_core.config import load
from tests.api.test_readme import curl, examples
from tests.support.http.collector import Collector
from tests.support.processes.servers import SharqServer

PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text(encoding="utf-8")


def test_the_program_of_the_page_makes_one_trace(server: SharqServer, tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    with Collector().running() as collector:
        found = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, **collector.environ, "SHARQ_URL": server.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert found.returncode == 0, found.stderr
        sent, handled = (line.split()[-1] for line in found.stdout.splitlines())
        assert sent == handled
        spans = collector.spans(trace_id=sent)
    assert [(span.service, span.kind, span.name) for span in spans] == [
        ("shop", "internal", "order"),
        ("shop", "producer", "enqueue sms"),
        ("shop", "consumer", "process sms"),
        ("shop", "internal", "carrier"),
    ]
    parents = {span.name: span.parent_id for span in spans}
    ids = {span.name: span.span_id for span in spans}
    assert parents["enqueue sms"] == ids["order"] and parents["process sms"] == ids["enqueue sms"]


async def test_the_request_of_the_page_gives_its_job_a_trace(server: SharqServer, kind: str) -> None:
    (text,) = re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    ((command, printed),) = examples(f"```console\n{text}```")
    answer = await curl(command.replace("/sms/", f"/{kind}/"), server.url)
    assert json.loads(answer) == json.loads(printed)
    async with AsyncClient(server.url) as client:
        job = await client.dequeue(kind)
    assert job is not None and job.traceparent is not None and job.traceparent in command


def test_the_setting_of_the_page_switches_tracing_on(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```ini\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "sharq.conf"
    path.write_text(text)
    assert load(path, {}).telemetry.traces and not load(None, {}).telemetry.traces
