"""Runs the programs of an example, such as a web server and a worker, and ends them with it."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import urllib3

START_S = 30.0
END_S = 15.0


@contextmanager
def running(*commands: list[str], **environ: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run programs with more variables until the end of the block, and then let them stop in order, all at once.

    Raises:
        SystemExit: one of them did not stop in order within END_S.
    """
    environment = {**os.environ, **environ}
    processes = [subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) for command in commands]
    try:
        yield processes
        for process in processes:
            process.terminate()
        for process in processes:
            if process.wait(END_S) not in (0, -signal.SIGTERM):
                raise SystemExit(f"{process.args!r} ended with exit code {process.returncode}")
    finally:
        for process in processes:
            process.kill()
            process.wait()


def check_installed(*modules: str) -> None:
    """Raise SystemExit with what to do if a framework of the example is not installed."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        hint = " Django 6 needs Python 3.12 or newer." if "django" in missing else ""
        raise SystemExit(f"{', '.join(missing)}: not installed; `make setup-dev` does it.{hint}")


def python(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program answers HTTP at a URL, whatever the status.

    Raises:
        SystemExit: the program has ended, or has not answered within START_S.
    """
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            urllib3.request("GET", url, retries=False, timeout=1)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing answers at {url}")
