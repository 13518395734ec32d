"""Judges the demo's output for tests on machines that may be busy."""

from __future__ import annotations

import re

_SLOW = re.compile(
    r"the full rate was not back"
    r"|did not happen in time"
    r"|the full rate was back only \d+ ms after"
    r"|delivered \d+ of \d+ promised \(\d+%\)"
)


def broken_promises(output: str, exit_code: int) -> list[str]:
    """Return the problems in the output, except its speed; test_kills_under_load.py judges the rate under faults.

    A run that came to no verdict broke them all.
    """
    _, verdict, problems = output.partition("FAILED\n")
    if not verdict:
        return [] if exit_code == 0 else [output]
    lines = [line.strip() for line in problems.splitlines()]
    return [line for line in lines if line and not _SLOW.search(line)]
