"""The other queue systems that add and process jobs: the program of each, its setting, and one step of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from benchmarks.peers import install
from benchmarks.peers.install import PROGRAMS


class StepDone(msgspec.Struct, frozen=True):
    """The outcome of adding or processing jobs.

    Attributes:
        jobs: how many were counted.
        duration_s: from the first to the last of them.
        cpu_s: CPU time of the system's own processes meanwhile, without the store.
    """

    jobs: int
    duration_s: float
    cpu_s: float


class QueueSystem(msgspec.Struct, frozen=True):
    """Another system.

    Attributes:
        setting: how it adds and processes, with the numbers; a sentence without its subject.
        lacks: what a comparison has to keep in mind; a sentence without its subject.
        jobs: how many of a round take it about as long as the others.
        command: returns the program and its first words; raises NotRun if it cannot be installed.
    """

    name: str
    setting: str
    lacks: str
    jobs: int
    command: Callable[[], list[str]]

    def run(self, step: str, socket: str, jobs: int) -> StepDone:
        """Do a step, "add" or "process", on the store at a UNIX socket.

        Raises:
            NotRun: it cannot be installed, or failed.
        """
        command = [*self.command(), step, socket, str(jobs)]
        said = install.check(command, environ={"SOCKET": socket, "PYTHONPATH": str(PROGRAMS)})
        return msgspec.json.decode(install.last_line(said), type=StepDone)


def _script(name: str) -> str:
    return str(PROGRAMS / name)


ASYNQ = QueueSystem(
    "asynq 0.26",
    "adds by 64 goroutines, one job a call, and processes with a concurrency of 100; one process on all cores",
    "has no bulk call, no rate for a queue and no network API; a worker that died is noticed by its heartbeat",
    20_000,
    lambda: [str(install.asynq_program())],
)
BULLMQ = QueueSystem(
    "BullMQ 6.7",
    "adds by addBulk of 64 and processes with a concurrency of 100; one Node process for each step",
    "has one rate for a whole queue and none for a customer in its free version, and no network API",
    20_000,
    lambda: [install.tool("node"), _script("bullmq.mjs"), str(install.bullmq_folder())],
)
DRAMATIQ = QueueSystem(
    "Dramatiq 2.2",
    "adds one job a call and processes in a process a core of 8 threads each, which is what its program does unasked",
    "has no bulk call, no rate for a queue and no network API",
    4_000,
    lambda: [str(install.dramatiq_python()), _script("dramatiq_jobs.py")],
)
RQ = QueueSystem(
    "RQ 3.0",
    "adds by enqueue_many of 100 and processes in a worker pool, a worker a core, with SimpleWorker: a fork for each "
    "job, its advice for production, would take several times as long",
    "has no rate for a queue and no network API",
    1_000,
    lambda: [str(install.rq_python()), _script("rq_jobs.py")],
)
CELERY = QueueSystem(
    "Celery 5.7",
    "adds one job a call and processes in 16 threads that hold 64 jobs each; results are not kept, and there are no "
    "gossip, no events and no heartbeats",
    "has no bulk call, a rate for a task in each worker only, and no network API",
    2_000,
    lambda: [str(install.celery_python()), _script("celery_jobs.py")],
)
ALL = (ASYNQ, BULLMQ, DRAMATIQ, RQ, CELERY)
