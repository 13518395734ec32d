"""Lines that strangers can cause are seldom, counted, and bounded in number."""

from __future__ import annotations

import logging

import pytest

from sharq_core.logs.rare_log import MOST_KINDS, RareLog

LOGGER = logging.getLogger("a test of rare lines")


def test_an_event_is_logged_once_in_a_while_and_the_rest_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    log = RareLog(LOGGER, every_s=5.0, clock=lambda: now_s)
    for number in range(4):
        log.warning("refused number=%d", number)
    log.warning("other")
    now_s = 6.0
    log.warning("refused number=%d", 9)
    now_s = 12.0
    log.warning("refused number=%d", 10)
    assert caplog.messages == ["refused number=0", "other", "refused number=9 times=4", "refused number=10"]


def test_kinds_of_one_event_are_counted_apart(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    log = RareLog(LOGGER, every_s=5.0, clock=lambda: now_s)
    for reason in ("no proof", "too many", "no proof"):
        log.warning("link_refused reason=%r", reason, kind=reason)
    now_s = 6.0
    for reason in ("no proof", "too many"):
        log.warning("link_refused reason=%r", reason, kind=reason)
    assert caplog.messages == [
        "link_refused reason='no proof'",
        "link_refused reason='too many'",
        "link_refused reason='no proof' times=2",
        "link_refused reason='too many'",
    ]


def test_kinds_beyond_the_bound_share_a_line_until_others_are_old(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    log = RareLog(LOGGER, every_s=5.0, clock=lambda: now_s)
    for kind in range(10_000):
        log.warning("link_refused kind=%d", kind, kind=str(kind))
    assert len(caplog.messages) == MOST_KINDS + 1
    now_s = 6.0
    log.warning("link_refused kind=%d", 10_000, kind="10000")
    assert caplog.messages[-1] == "link_refused kind=10000"
