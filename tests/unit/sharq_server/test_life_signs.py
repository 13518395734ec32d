"""The silence of a worker, by the time for which its parent ran."""

from __future__ import annotations

from sharq_server.workers.life_signs import LOOK_S, START_TIMES, LifeSigns

LIMIT_S = 10.0
LOOKS = int(LIMIT_S / LOOK_S)


def signs_after(looks: int, *, elapsed_s: float = LOOK_S, limit_s: float = LIMIT_S) -> LifeSigns:
    signs = LifeSigns(limit_s)
    signs.hear()
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


def test_a_worker_has_more_time_until_its_first_sign() -> None:
    signs = LifeSigns(LIMIT_S)
    for _ in range(START_TIMES * LOOKS - 1):
        signs.look(LOOK_S)
    assert not signs.is_too_long
    signs.look(LOOK_S)
    assert signs.is_too_long


def test_without_a_limit_nothing_hangs() -> None:
    assert not signs_after(100 * LOOKS, limit_s=0.0).is_too_long
