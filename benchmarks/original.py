"""The original's server for comparison: its core behind Flask, gevent and two gunicorn workers.

It has a store of its own, of the same kind as ours.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import peers
from benchmarks.servers import Server, child, free_port, status, store, wait_until

_WORKERS = 2
_PROGRAM = Path(peers.__file__).with_name("original_server.py")


@contextmanager
def original_server() -> Iterator[Server]:
    """Run it; its pid is that of gunicorn's parent.

    Raises:
        NotRun: it cannot be installed.
        Spoiled: it did not start.
    """
    python = str(peers.original_python())
    url = f"http://127.0.0.1:{free_port()}"
    with store(is_durable=True) as running, tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        directory = Path(name)
        config = directory / "core.conf"
        config.write_text(peers.original_config(running.socket))
        address = url.removeprefix("http://")
        gunicorn = [python, "-m", "gunicorn", "-k", "gevent", "-w", str(_WORKERS), "-b", address]
        command = [*gunicorn, "--chdir", str(_PROGRAM.parent), f"{_PROGRAM.stem}:app"]
        with child(command, directory, {"SHARQ_CORE_CONFIG": str(config)}) as process:
            wait_until(lambda: status(f"{url}/") == 200, process, directory)
            yield Server(url, process.pid)
