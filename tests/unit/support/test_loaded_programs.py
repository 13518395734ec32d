from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from sharq_core.version import __version__
from tests.support.pids import until_gone
from tests.support.processes.loaded_programs import Forked, fork
from tests.support.processes.servers import SharqServer
from tests.support.waits import wait_until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or "COVERAGE_PROCESS_CONFIG" in os.environ,
    reason="programs are started anew then",
)


def start(directory: Path, *arguments: str, **environ: str) -> Forked:
    with (directory / "log").open("ab") as log:
        forked = fork("router.main", arguments, directory, {**os.environ, **environ}, (log, log))
    assert forked is not None
    return forked


def test_a_fork_has_arguments_outputs_and_an_exit_status_of_its_own(tmp_path: Path) -> None:
    helped, wrong = start(tmp_path, "--help"), start(tmp_path, "--no-such-option")
    assert (helped.wait(60), wrong.wait(60)) == (0, 2)
    assert helped.poll() == 0
    log = (tmp_path / "log").read_text()
    assert "usage: sharq-router" in log
    assert "--no-such-option" in log


def test_the_outputs_of_a_fork_may_be_two_files(tmp_path: Path) -> None:
    paths = tmp_path / "stdout", tmp_path / "stderr"
    for words in ("--version", "--no-such-option"):
        with paths[0].open("ab") as stdout, paths[1].open("ab") as stderr:
            forked = fork("router.main", [words], tmp_path, os.environ, (stdout, stderr))
        assert forked is not None
        forked.wait(60)
    printed, said = (path.read_text() for path in paths)
    assert printed == f"sharq-router {__version__}\n"
    assert "--no-such-option" in said and printed not in said


@pytest.mark.parametrize("umask", [0o077, 0o022])
def test_files_of_a_fork_have_the_mode_that_its_starter_wants(tmp_path: Path, umask: int) -> None:
    access_log = tmp_path / "access"
    environ = {**os.environ, "SHARQ_SERVER_ACCESSLOG": str(access_log)}
    with (tmp_path / "log").open("ab") as log:
        server = fork("sharq_server.main", ["--port", "0"], tmp_path, environ, (log, log), umask)
    assert server is not None
    wait_until(access_log.exists)
    assert access_log.stat().st_mode & 0o777 == 0o666 & ~umask
    server.terminate()
    server.wait(60)


def test_a_fork_has_variables_of_its_own(tmp_path: Path) -> None:
    assert start(tmp_path, SHARQ_CLUSTER_SECRET="", SHARQ_SERVER_PORT="none").wait(60) == 2
    assert "SHARQ_SERVER_PORT" in (tmp_path / "log").read_text()
    assert start(tmp_path, "--help").wait(60) == 0


@pytest.mark.parametrize("name", ["PYTHONPATH", "SSL_CERT_FILE", "LD_PRELOAD", "TZ"])
def test_a_variable_that_is_read_at_the_start_of_a_process_needs_a_new_one(tmp_path: Path, name: str) -> None:
    with (tmp_path / "log").open("ab") as log:
        assert fork("router.main", ["--help"], tmp_path, {**os.environ, name: "other"}, (log, log)) is None


def pipes_of(pid: int) -> int:
    """Return the number of a process's open pipes."""
    count = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # a connection that has been closed meanwhile
            count += str(file.readlink()).startswith("pipe:")
    return count


def test_a_fork_has_no_pipe_of_another_one(tmp_path: Path) -> None:
    servers = [SharqServer(tmp_path / str(number)) for number in range(2)]
    pipes = []
    for server in servers:
        server.log_path.parent.mkdir()
        server.start()
        pipes.append(pipes_of(server.pid))
    assert pipes[0] == pipes[1]
    assert [server.stop() for server in servers] == [0, 0]


def test_a_killed_fork_says_so(tmp_path: Path) -> None:
    server = SharqServer(tmp_path)
    server.start()
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL


def test_a_fork_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time; from tests.support.processes.servers import SharqServer\n"
        "server = SharqServer(pathlib.Path(sys.argv[1])); server.start()\n"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    until_gone([pid])
