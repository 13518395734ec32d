"""The program of docs/tracing.md runs as printed, and makes one trace from its order to its carrier."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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
