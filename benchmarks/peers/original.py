"""The original for comparison: its core, and that behind Flask, gevent and two gunicorn workers.

The server has a store of its own, of the same kind as ours.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.peers import install
from benchmarks.peers.install import PROGRAMS
from benchmarks.processes.servers import Server, child, free_port, status, store, wait_until

_WORKERS = 2
_PROGRAM = PROGRAMS / "original_server.py"
_CONFIG = """[sharq]
job_expire_interval = 3600000
job_requeue_interval = 5000
default_job_requeue_limit = -1

[redis]
db = 0
key_prefix = original
conn_type = unix_sock
unix_socket_path = {socket}
"""


@contextmanager
def original_server() -> Iterator[Server]:
    """Run it; its pid is that of gunicorn's parent.

    Raises:
        NotRun: it cannot be installed.
        Spoiled: it did not start.
    """
    python = str(install.original_python())
    url = f"http://127.0.0.1:{free_port()}"
    with store(is_durable=True) as running, tempfile.TemporaryDirectory(prefix="sharq-bench-") as name:
        directory = Path(name)
        config = directory / "core.conf"
        config.write_text(_CONFIG.format(socket=running.socket))
        address = url.removeprefix("http://")
        gunicorn = [python, "-m", "gunicorn", "-k", "gevent", "-w", str(_WORKERS), "-b", address]
        command = [*gunicorn, "--chdir", str(_PROGRAM.parent), f"{_PROGRAM.stem}:app"]
        with child(command, directory, {"SHARQ_CORE_CONFIG": str(config)}) as process:
            wait_until(lambda: status(f"{url}/") == 200, process, directory)
            yield Server(url, process.pid)


def original_dequeue_ms(socket: str, size: int, calls: int) -> float:
    """Return the wall time of one dequeue by the core at `size` ready queues, median of `calls`.

    Raises:
        NotRun: it cannot be installed, or failed.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(_CONFIG.format(socket=socket))
        config.flush()
        program = [str(install.original_python()), str(PROGRAMS / "original_dequeue.py")]
        said = install.check([*program, config.name, str(size), str(calls)])
    return msgspec.json.decode(install.last_line(said), type=float)
