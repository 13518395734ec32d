"""Runs wrk as the load: one thread, a script of this folder, requests as fast as the answers come."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import msgspec

from benchmarks.errors import NotRun, Spoiled

_SCRIPTS = Path(__file__).parent
_MARK = "SUMMARY "


class Summary(msgspec.Struct, frozen=True):
    """The result of a run; failures are answers above 399 and broken connections; latencies are of single requests."""

    requests: int
    duration_s: float
    failures: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.duration_s


@cache
def program() -> str:
    """Return the path of wrk.

    Raises:
        NotRun: it is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise NotRun("wrk is not installed (on Debian and Ubuntu: apt-get install wrk)")
    return found


@cache
def version() -> str:
    """Return the first words of `wrk --version`: name and version."""
    said = subprocess.run([program(), "--version"], capture_output=True, text=True, check=False, timeout=10)
    return " ".join((said.stdout + said.stderr).split()[:2])


def run(
    url: str, script: str, connections: int, duration_s: float, *arguments: str, tolerated: float = 0.0
) -> Summary:
    """Put load on a server and return what came of it.

    Args:
        script: the name of a script, without its suffix.
        connections: kept alive, each with one request in flight, 1 or more.
        duration_s: whole seconds, 1 or more.
        arguments: for the script.
        tolerated: the share of requests that may fail, 0 to 1.

    Raises:
        NotRun: wrk is not installed.
        Spoiled: more requests failed than are tolerated, or wrk did.
    """
    command = [program(), "-t1", f"-c{connections}", f"-d{duration_s:.0f}s", "-s", f"{script}.lua", url, "--"]
    try:
        said = subprocess.run(
            [*command, *arguments],
            cwd=_SCRIPTS,
            capture_output=True,
            text=True,
            check=False,
            timeout=duration_s + 30,
        )
    except subprocess.TimeoutExpired as error:
        raise Spoiled(f"{script}: wrk did not end") from error
    _, found, summary = said.stdout.partition(_MARK)
    if said.returncode or not found:
        raise Spoiled(f"wrk failed: {said.stderr or said.stdout}")
    result = msgspec.json.decode(summary.splitlines()[0], type=Summary)
    if result.failures > tolerated * result.requests or not result.requests:
        raise Spoiled(f"{script}: {result.failures} of {result.requests} requests failed")
    return result
