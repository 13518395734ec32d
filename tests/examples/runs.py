"""Runs examples as processes, and reads what arrived at their other side."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DEADLINE_S = 90.0


@dataclass(frozen=True)
class Run:
    """A run of an example.

    Attributes:
        output: stdout and stderr.
        arrivals: what its other side has written down, in the order of the times.
    """

    name: str
    exit_code: int
    output: str
    arrivals: list[dict[str, Any]]


async def run_example(name: str, directory: Path, url: str = "", arguments: Sequence[str] = ()) -> Run:
    """Run an example to its end, with the server at a URL; without one it starts its own."""
    log = directory / f"{name}.log"
    environ = {word: text for word, text in os.environ.items() if not word.startswith("SHARQ_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "examples", name, "--log", str(log), *arguments,
        cwd=ROOT,
        env=environ | ({"SHARQ_URL": url} if url else {}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode is not None
    arrivals = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return Run(name, process.returncode, output.decode(), arrivals)
