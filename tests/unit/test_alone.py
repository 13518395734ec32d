"""The room that test processes share: many at a time, or one alone."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.support.alone import room

SOON_S = 0.2
DEADLINE_S = 20.0


class Guest:
    """A holder of the room in a thread of its own."""

    def __init__(self, threads: ThreadPoolExecutor, folder: Path, *, is_alone: bool) -> None:
        self.inside, self._leave = Event(), Event()
        self._stay: Future[None] = threads.submit(self._hold, folder, is_alone)

    def _hold(self, folder: Path, is_alone: bool) -> None:
        with room(folder, is_alone=is_alone):
            self.inside.set()
            assert self._leave.wait(DEADLINE_S)

    def leave(self) -> None:
        self._leave.set()
        self._stay.result(DEADLINE_S)


def test_guests_who_do_not_mind_others_share_the_room(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        guests = [Guest(threads, tmp_path, is_alone=False) for _ in range(3)]
        assert all(guest.inside.wait(DEADLINE_S) for guest in guests)
        for guest in guests:
            guest.leave()


@pytest.mark.parametrize("is_alone", [True, False])
def test_nobody_is_beside_a_guest_who_is_alone(tmp_path: Path, is_alone: bool) -> None:
    with ThreadPoolExecutor() as threads:
        first = Guest(threads, tmp_path, is_alone=True)
        assert first.inside.wait(DEADLINE_S)
        second = Guest(threads, tmp_path, is_alone=is_alone)
        assert not second.inside.wait(SOON_S)
        first.leave()
        assert second.inside.wait(DEADLINE_S)
        second.leave()


def test_a_guest_who_waits_to_be_alone_is_not_passed_by_new_ones(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        before = Guest(threads, tmp_path, is_alone=False)
        assert before.inside.wait(DEADLINE_S)
        alone = Guest(threads, tmp_path, is_alone=True)
        assert not alone.inside.wait(SOON_S)
        after = Guest(threads, tmp_path, is_alone=False)
        assert not after.inside.wait(SOON_S)
        before.leave()
        assert alone.inside.wait(DEADLINE_S)
        assert not after.inside.is_set()
        alone.leave()
        assert after.inside.wait(DEADLINE_S)
        after.leave()
