"""The names of signals, for people who read how a process ended."""

from __future__ import annotations

import signal

import pytest

from sharq_core.process.stop import signal_name


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGKILL, "SIGKILL"),
        (signal.SIGRTMIN, "SIGRTMIN"),
        (signal.SIGRTMIN + 3, f"signal {signal.SIGRTMIN + 3}"),
    ],
)
def test_every_signal_has_words(number: int, name: str) -> None:
    assert signal_name(number) == name
