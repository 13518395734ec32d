"""`sharq worker`: the worker of an application, and a command of the shell for each job."""

from __future__ import annotations

import asyncio
import functools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sharq_client import Client, JobState
from sharq_client.cli.traffic.programs import Program
from sharq_client.worker.handlers.results import to_running
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import SCRIPT, Sharq
from tests.support.waits import until, wait_until

APPLICATION = """
from sharq_client import Client, Worker

worker = Worker(Client(), wait_ms=200)
number = 3


@worker.handler({kind!r})
def send(job):
    open({done!r}, "a").write(f"{word} {{job.payload}}\\n")
"""


def write_application(folder: Path, kind: str, word: str = "one") -> Path:
    done = folder / "done.txt"
    (folder / "app.py").write_text(APPLICATION.format(kind=kind, done=str(done), word=word))
    done.touch()
    return done


@contextmanager
def running(server: SharqServer, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environ = {**Sharq(server.url).environ(), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [str(SCRIPT), "worker", *arguments]
    with subprocess.Popen(words, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def enqueue(client: Client, kind: str, job_id: str, payload: object, **more: object) -> None:
    client.enqueue(
        {"queue_type": kind, "queue_id": "acme", "job_id": job_id, "interval": 0, "payload": payload, **more}
    )


def state(client: Client, kind: str, job_id: str) -> JobState | None:
    status = client.job(kind, "acme", job_id)
    return None if status is None else status.state


def test_worker_of_an_application_runs_until_sigterm(
    client: Client, server: SharqServer, kind: str, tmp_path: Path
) -> None:
    done = write_application(tmp_path, kind)
    enqueue(client, kind, "a", 17)
    with running(server, tmp_path, "app:worker", "--concurrency", "3") as process:
        wait_until(lambda: "one 17" in done.read_text())
        wait_until(lambda: state(client, kind, "a") is JobState.FINISHED)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert process.returncode == 0
    assert f"worker_started queue_type={kind} concurrency=3" in log and "worker_stopped" in log


@pytest.mark.slow
def test_worker_is_started_anew_when_its_source_changes(
    client: Client, server: SharqServer, kind: str, tmp_path: Path
) -> None:
    done = write_application(tmp_path, kind)
    with running(server, tmp_path, "app", "--reload") as process:
        enqueue(client, kind, "a", 1)
        wait_until(lambda: "one 1" in done.read_text())
        write_application(tmp_path, kind, "two")
        enqueue(client, kind, "b", 2, delay=2_000)
        wait_until(lambda: "two 2" in done.read_text())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("target", "words", "code"),
    [
        ("nowhere:worker", "there is no module nowhere in ", 3),
        ("app.inner:worker", "app.inner: there is no module app.inner", 3),
        ("lacking:worker", "lacking cannot be imported: ModuleNotFoundError: No module named 'not_there'", 1),
        ("wrong:worker", "wrong cannot be imported: SyntaxError: invalid syntax", 1),
        ("raises:worker", "raises cannot be imported: ValueError: no settings", 1),
        ("app:nothing", "app has no 'nothing'; it has worker", 3),
        ("app:send", "app:send is no Worker but a function; a handler is registered with @worker.handler", 2),
        ("app:number", "app:number is no Worker but a int", 2),
        ("empty", "empty has no Worker; expected module:name", 2),
        ("idle:worker", "no handler is registered", 1),
        ("my app", "my app: expected module:name, such as app:worker", 2),
        ("fine.py:worker", "fine.py:worker: expected the name of a module, without .py at its end", 2),
    ],
)
def test_wrong_targets_are_told_in_clear_words(
    server: SharqServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, words: str, code: int
) -> None:
    write_application(tmp_path, "sms")
    sources = {
        "lacking": "import not_there",
        "wrong": "x = = 1",
        "raises": "raise ValueError('no settings')",
        "empty": "",
        "idle": "from sharq_client import Client, Worker\nworker = Worker(Client())",
    }
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in (*sources, "app"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    error = Sharq(server.url)("worker", target, code=code).err
    assert words in error and "Traceback" not in error
    for name in (*sources, "app"):
        sys.modules.pop(name, None)


def test_program_gets_the_payload_and_decides_the_outcome(
    client: Client, server: SharqServer, kind: str, tmp_path: Path
) -> None:
    enqueue(client, kind, "good", {"n": 1})
    enqueue(client, kind, "bad", {"n": 2}, requeue_limit=0)
    script = 'cat > "$SHARQ_JOB_ID.json"; echo "$SHARQ_QUEUE_TYPE $SHARQ_QUEUE_ID $SHARQ_ATTEMPT" > "$SHARQ_JOB_ID.txt"'
    script += '; if [ "$SHARQ_JOB_ID" = bad ]; then echo first >&2; echo no credit >&2; exit 3; fi'
    with running(server, tmp_path, kind, "--exec", script) as process:
        wait_until(lambda: state(client, kind, "good") is JobState.FINISHED)
        wait_until(lambda: state(client, kind, "bad") is JobState.DEAD)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    assert "error='exit code 3: no credit'" in log
    assert "Traceback" not in log
    assert (tmp_path / "good.json").read_text() == '{"n":1}'
    assert (tmp_path / "bad.txt").read_text() == f"{kind} acme 1\n"
    status = client.job(kind, "acme", "bad")
    assert status is not None and status.error is not None
    assert status.error.endswith("exit code 3: no credit")


def test_program_that_hangs_ends_with_the_worker(
    client: Client, server: SharqServer, kind: str, tmp_path: Path
) -> None:
    enqueue(client, kind, "a", 1)
    with running(server, tmp_path, kind, "--exec", "echo $$ > pid; sleep 1000") as process:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert any("worker_stopping" in line for line in process.stderr), "it has seen the first signal"
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert state(client, kind, "a") in {JobState.QUEUED, JobState.DELAYED}, log


async def test_program_that_is_cancelled_while_it_starts_ends_with_all_it_has_started(
    client: Client, kind: str, tmp_path: Path
) -> None:
    """However far the start is. asyncio itself ends the shell only, and may wait for its end for ever."""
    enqueue(client, kind, "a", 1)
    leased = client.dequeue(kind)
    assert leased is not None
    job = to_running(leased, lambda *_: None)
    files = [tmp_path / str(rounds) for rounds in range(40)]
    for rounds, file in enumerate(files):
        handling = asyncio.create_task(Program(f"echo $$ > {file}; sleep 1000 & wait").handle(job))
        for _ in range(rounds):
            await asyncio.sleep(0)
        # The event loop stands still meanwhile, so that the shell is further than its start is known to be.
        with suppress(AssertionError):
            wait_until(functools.partial(first_word, file), timeout_s=0.1)
        handling.cancel()
        await until(handling.done)
        assert handling.cancelled()
    for shell in filter(None, map(first_word, files)):
        await until(functools.partial(is_group_gone, int(shell)))


def first_word(file: Path) -> str:
    return file.read_text().strip() if file.exists() else ""


def is_group_gone(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    return False


def test_program_that_leaves_something_running_ends_its_job(
    client: Client, server: SharqServer, kind: str, tmp_path: Path
) -> None:
    enqueue(client, kind, "good", 1)
    enqueue(client, kind, "bad", 2, requeue_limit=0)
    script = 'sleep 120 & echo $! >> pids; test $SHARQ_JOB_ID = good || { echo "no credit" >&2; exit 3; }'
    try:
        with running(server, tmp_path, kind, "--exec", script) as process:
            wait_until(lambda: state(client, kind, "good") is JobState.FINISHED)
            wait_until(lambda: state(client, kind, "bad") is JobState.DEAD)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
        status = client.job(kind, "acme", "bad")
        assert status is not None and str(status.error).endswith("exit code 3: no credit")
    finally:
        for pid in (tmp_path / "pids").read_text().split():
            os.kill(int(pid), signal.SIGKILL)  # it still runs: nobody has ended it


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the memory of a process")
def test_program_that_writes_much_takes_no_memory_of_the_worker(
    client: Client, server: SharqServer, kind: str, tmp_path: Path
) -> None:
    enqueue(client, kind, "a", 1, requeue_limit=0)
    script = "{ head -c 200000000 /dev/zero; echo; echo last; } >&2; exit 4"
    with running(server, tmp_path, kind, "--exec", script) as process:
        wait_until(lambda: state(client, kind, "a") is JobState.DEAD)
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None and int(found[1]) < 150_000
    status = client.job(kind, "acme", "a")
    assert status is not None and str(status.error).endswith("last")
