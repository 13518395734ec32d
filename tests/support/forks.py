"""Runs the tests in processes side by side that are forks of one that has collected them.

`python -m pytest -p tests.support.forks --forks 6`, which is `make test`.

To collect all tests takes seconds of a processor, which each process of pytest-xdist (`-n 6`) spends anew. A fork has
them, and shares the memory that they take.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import sys
import threading
import traceback
import warnings
from collections import deque
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, NoReturn

import pytest
from _pytest.config import create_terminal_writer

from tests.support.runs import Runs

AHEAD = 3
"""Tests that a process has at a time: the one that it runs, the next, which says what to tear down, and one more, so
that it never waits for this process.
"""


class Outcome:
    """The reports and warnings of a test, on their way from the process that ran it.

    Attributes:
        reports: as pytest's hook has made them serializable.
        warned: the arguments of pytest's hook for warnings.
    """

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.warned: list[dict[str, Any]] = []


class _Process:
    """A fork, as its parent has it.

    Attributes:
        given: the tests that it has and that are not reported yet, in their order.
    """

    def __init__(self, number: int, pid: int, connection: Connection) -> None:
        self.number = number
        self.pid = pid
        self.connection = connection
        self.given: deque[int] = deque()


class SideBySide:
    """The run of a session's tests in forks of this process.

    Args:
        count: how many processes run side by side.
    """

    def __init__(self, session: pytest.Session, count: int) -> None:
        self._session = session
        self._count = min(count, len(session.items))
        self._runs = Runs(len(session.items), self._count)
        self._processes: dict[Connection, _Process] = {}

    def run(self) -> None:
        """Run all tests, or those up to the failure that ends the session."""
        self._session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # one for all
        for number in range(self._count):
            self._start(number)
        try:
            while self._processes:
                for connection in wait(list(self._processes)):
                    assert isinstance(connection, Connection)
                    self._hear(self._processes[connection])
        finally:
            for connection, process in self._processes.items():
                connection.close()  # it ends after its test
                os.waitpid(process.pid, 0)

    def _start(self, number: int) -> None:
        near, far = Pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            near.close()
            for connection in self._processes:
                connection.close()
            _Fork(self._session, number, far).run()
        far.close()
        process = self._processes[near] = _Process(number, pid, near)
        for _ in range(AHEAD):
            self._give(process)

    def _give(self, process: _Process) -> None:
        test = self._runs.take(process.number)
        if test is not None:
            process.given.append(test)
        with contextlib.suppress(BrokenPipeError):  # its end is heard next
            process.connection.send(test)

    def _hear(self, process: _Process) -> None:
        try:
            outcome: Outcome = process.connection.recv()
        except (EOFError, ConnectionResetError):
            self._note_end(process)
            return
        item = self._session.items[process.given.popleft()]
        hook, config = item.ihook, item.config
        for warned in outcome.warned:
            hook.pytest_warning_recorded.call_historic(kwargs=warned)
        reports = [hook.pytest_report_from_serializable(config=config, data=data) for data in outcome.reports]
        self._log(item, reports)
        self._give(process)

    def _note_end(self, process: _Process) -> None:
        """Start another process for the tests of one that a test has ended, and report that test as failed."""
        del self._processes[process.connection]
        process.connection.close()
        status = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
        if not process.given:
            if status != 0:
                raise RuntimeError(f"a test process ended with status {status} after its last test")
            return
        item = self._session.items[process.given.popleft()]
        what = f"the process of this test ended with status {status}"
        self._log(item, [pytest.TestReport(item.nodeid, item.location, {}, "failed", what, "call")])
        if not (self._session.shouldfail or self._session.shouldstop):
            self._runs.put_back(process.number, process.given)
            self._start(process.number)

    def _log(self, item: pytest.Item, reports: list[pytest.TestReport]) -> None:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if self._session.shouldfail or self._session.shouldstop:
            self._runs.clear()


class _Fork:
    """The process that runs tests."""

    def __init__(self, session: pytest.Session, number: int, parent: Connection) -> None:
        self._session = session
        self._number = number
        self._parent = parent
        self._outcome = Outcome()

    def run(self) -> NoReturn:
        """Run the tests that the parent names, and end this process."""
        status = 1
        try:
            self._become_another()
            self._run_tests()
            status = 0
        except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
            self._session._setupstate.teardown_exact(None)  # the parent has ended, or is about to
        except BaseException:  # noqa: BLE001 - the top of this process
            traceback.print_exc(file=sys.__stderr__)
        finally:
            # As multiprocessing ends its processes: the stack of this one is the parent's, up to the end of pytest.
            vars(threading)["_shutdown"]()
            atexit._run_exitfuncs()
            os._exit(status)

    def _become_another(self) -> None:
        """Give this process what each one has of its own: outputs, random numbers and the share of the ports."""
        plugins = self._session.config.pluginmanager
        capture = plugins.get_plugin("capturemanager")
        assert capture is not None
        capture.stop_global_capturing()
        capture.start_global_capturing()
        for name in ("terminalprogress", "terminalreporter"):
            if plugins.has_plugin(name):
                plugins.unregister(name=name)
        plugins.register(_CapturedTerminal(self._session.config), "terminalreporter")
        plugins.register(self, "test process")
        random.seed()
        os.environ["PYTEST_XDIST_WORKER"] = f"gw{self._number}"

    def _run_tests(self) -> None:
        items = self._session.items
        test: int | None = self._parent.recv()
        while test is not None:
            following: int | None = self._parent.recv()
            next_item = None if following is None else items[following]
            items[test].config.hook.pytest_runtest_protocol(item=items[test], nextitem=next_item)
            self._parent.send(self._outcome)
            self._outcome = Outcome()
            test = following

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the report of a phase for the parent."""
        config = self._session.config
        data = config.hook.pytest_report_to_serializable(config=config, report=report)
        self._outcome.reports.append(data)

    @pytest.hookimpl
    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        """Keep a warning for the parent."""
        warning_message.source = None
        self._outcome.warned.append(
            {"warning_message": warning_message, "when": when, "nodeid": nodeid, "location": location}
        )


class _CapturedTerminal:
    """The terminal of a process that has none: what a plugin writes there is captured with the test's output."""

    def __init__(self, config: pytest.Config) -> None:
        self._tw = create_terminal_writer(config, sys.stdout)


def count_of_forks(config: pytest.Config) -> int:
    """Return how many forks are to run the tests; 0 if this process runs them."""
    return int(config.getoption("forks", 0))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says how many forks run the tests."""
    parser.addoption("--forks", type=int, default=0, help="run the tests in so many forks of this process")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in forks if there are to be any; otherwise leave it to pytest."""
    count = count_of_forks(session.config)
    if count == 0 or session.config.option.collectonly or session.testsfailed or not session.items:
        return None
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.showfspath = False  # tests of several files end in turns
    SideBySide(session, count).run()
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
    return True
