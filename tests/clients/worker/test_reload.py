"""Restarting a program when its source changes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sharq_client.worker import reload
from tests.support.processes.servers import SharqProcess
from tests.support.waits import wait_until

ROOT = Path(__file__).parents[3]
SOURCE = "import signal, sys\nprint('{word}', flush=True)\n{rest}\n"
STAY = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('stopped', flush=True)))\nsignal.pause()"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    return folder / "app.py"


@pytest.fixture
def reloading(tmp_path: Path, source: Path) -> Iterator[SharqProcess]:
    """A program under reload, not yet launched."""
    (tmp_path / "reloading.py").write_text(
        "import sys\nfrom sharq_client.worker import reload\n"
        f"sys.exit(reload.run([sys.executable, {str(source)!r}], [{str(source.parent)!r}]))\n"
    )
    process = SharqProcess("reloading", tmp_path, "reload", 0, [], {"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    yield process
    if process.is_running:
        process.kill()


def test_change_of_a_source_file_starts_the_program_anew(reloading: SharqProcess, source: Path) -> None:
    source.write_text(SOURCE.format(word="first", rest=STAY))
    reloading.launch()
    wait_until(lambda: "first" in reloading.log)
    (source.parent / "notes.txt").write_text("no source")
    source.write_text(SOURCE.format(word="second", rest=STAY))
    wait_until(lambda: "second" in reloading.log)
    source.write_text(SOURCE.format(word="third", rest="this is no Python"))
    wait_until(lambda: "SyntaxError" in reloading.log)
    assert reloading.is_running
    source.write_text(SOURCE.format(word="fourth", rest=STAY))
    wait_until(lambda: "fourth" in reloading.log)
    reloading.signal(signal.SIGTERM)
    assert reloading.wait(20) == 0
    said = [line for line in reloading.log.splitlines() if line in {"first", "second", "fourth", "stopped"}]
    assert said == ["first", "stopped", "second", "stopped", "fourth", "stopped"]


def test_program_that_ends_well_ends_the_watch(reloading: SharqProcess, source: Path) -> None:
    source.write_text(SOURCE.format(word="done", rest=""))
    reloading.launch()
    assert reloading.wait(20) == 0
    assert reloading.log.splitlines() == ["done"]


def test_command_is_run_as_it_is() -> None:
    assert reload.run([sys.executable, "-c", "raise SystemExit(0)"], [ROOT / "clients"]) == 0


def test_hangup_of_the_watch_stops_the_program_gracefully(reloading: SharqProcess, source: Path) -> None:
    """Its terminal was closed; the program, which had no signal itself, gets one before it is ended by force."""
    source.write_text(SOURCE.format(word="first", rest=STAY))
    reloading.launch()
    wait_until(lambda: "first" in reloading.log)
    reloading.signal(signal.SIGHUP)
    assert reloading.wait(30) == 0
    assert [line for line in reloading.log.splitlines() if line in {"first", "stopped"}] == [
        "first",
        "stopped",
    ]
