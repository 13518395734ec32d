"""The silence of a worker, by the time for which its parent ran."""

from __future__ import annotations

import signal
import subprocess
import sys
from subprocess import PIPE

import pytest

from sharq_server.workers.life_signs import LOOK_S, START_TIMES, LifeSigns, ProcessorUse, processor_use
from tests.support.waits import wait_until

LIMIT_S = 10.0
LOOKS = int(LIMIT_S / LOOK_S)


def signs_after(looks: int, *, elapsed_s: float = LOOK_S, limit_s: float = LIMIT_S) -> LifeSigns:
    signs = LifeSigns(limit_s)
    signs.hear(has_started=True)
    for _ in range(looks):
        signs.look(elapsed_s)
    return signs


def test_a_worker_hangs_after_the_limit_and_not_before() -> None:
    assert not signs_after(LOOKS - 1).is_too_long
    assert signs_after(LOOKS).is_too_long


def test_a_sign_of_life_begins_anew() -> None:
    signs = signs_after(LOOKS - 1)
    signs.hear()
    for _ in range(LOOKS - 1):
        signs.look(LOOK_S)
    assert not signs.is_too_long


def test_time_for_which_the_parent_did_not_run_hardly_counts() -> None:
    assert signs_after(1, elapsed_s=3600.0).silent_s == 2 * LOOK_S
    assert not signs_after(LOOKS // 2 - 1, elapsed_s=60.0).is_too_long


def test_a_parent_that_is_always_late_still_finds_a_worker_that_hangs() -> None:
    assert signs_after(LOOKS // 2, elapsed_s=5.0).is_too_long


def test_a_worker_has_more_time_until_it_has_started() -> None:
    signs = LifeSigns(LIMIT_S)
    signs.hear()
    for _ in range(START_TIMES * LOOKS - 1):
        signs.look(LOOK_S)
    assert not signs.is_too_long
    signs.look(LOOK_S)
    assert signs.is_too_long


def test_without_a_limit_nothing_hangs() -> None:
    assert not signs_after(100 * LOOKS, limit_s=0.0).is_too_long


def test_a_worker_that_waits_for_a_processor_does_not_hang() -> None:
    """The system tells of a wait once it has ended."""
    told, untold = signs_after(0), signs_after(0)
    for look in range(10 * LOOKS):
        told.look(LOOK_S, ProcessorUse(ran_s=0.0, waited_s=look * LOOK_S, is_runnable=False))
        untold.look(LOOK_S, ProcessorUse(ran_s=0.0, waited_s=0.0, is_runnable=True))
    for signs in (told, untold):
        assert not signs.is_too_long
        assert signs.silent_s == 10 * LIMIT_S, "it gets no connections meanwhile"


def test_a_worker_that_runs_or_sleeps_without_a_sign_hangs() -> None:
    spinning, asleep = signs_after(0), signs_after(0)
    for look in range(LOOKS + 1):
        spinning.look(LOOK_S, ProcessorUse(ran_s=look * LOOK_S, waited_s=0.0, is_runnable=True))
        asleep.look(LOOK_S, ProcessorUse(ran_s=1.0, waited_s=1.0, is_runnable=False))
    assert spinning.is_too_long and asleep.is_too_long


def test_a_worker_that_spins_on_a_busy_machine_is_found_by_the_time_for_which_it_ran() -> None:
    signs = signs_after(0)
    for look in range(4 * LOOKS - 4):
        signs.look(LOOK_S, ProcessorUse(ran_s=look * LOOK_S / 4, waited_s=0.0, is_runnable=True))
    assert not signs.is_too_long
    for look in range(4 * LOOKS - 4, 4 * LOOKS):
        signs.look(LOOK_S, ProcessorUse(ran_s=look * LOOK_S / 4, waited_s=0.0, is_runnable=True))
    assert signs.is_too_long


@pytest.mark.skipif(sys.platform != "linux", reason="/proc of Linux tells it")
def test_the_use_of_the_processors_by_a_real_process() -> None:
    program = "import sys\nprint(flush=True)\nsys.stdin.readline()\nwhile True: pass"
    process = subprocess.Popen((sys.executable, "-c", program), stdin=PIPE, stdout=PIPE)
    try:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: not use_of(process.pid).is_runnable, what="it waits for input")
        before = use_of(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_until(lambda: use_of(process.pid).ran_s > before.ran_s + 0.05, what="it runs")
        assert use_of(process.pid).is_runnable
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: not use_of(process.pid).is_runnable, what="it is stopped")
    finally:
        process.kill()
        process.communicate()
    assert processor_use(process.pid) is None


def use_of(pid: int) -> ProcessorUse:
    use = processor_use(pid)
    assert use is not None
    return use
