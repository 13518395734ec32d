"""Load generators as processes of their own: modules that print their result as a line of JSON."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.errors import Spoiled
from benchmarks.processes.servers import ROOT


def run_load(module: str, arguments: Sequence[str], timeout_s: float) -> bytes:
    """Run a load to its end and return what it printed.

    Raises:
        Spoiled: it failed, or did not end in time.
    """
    try:
        said = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise Spoiled("the load did not end") from error
    if said.returncode:
        raise Spoiled(f"the load failed: {said.stderr.decode(errors='replace')[-2000:]}")
    return said.stdout
