"""Log lines: what a template becomes as JSON and for people, and which request ids are taken."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from sharq_core.logs import request_ids
from sharq_core.logs.setup import ConsoleFormatter, JsonFormatter


@pytest.fixture(autouse=True)
def no_request() -> Iterator[None]:
    token = request_ids.current.set(None)
    yield
    request_ids.current.reset(token)


def record(message: str, *arguments: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("router.shards.link", level, __file__, 1, message, arguments, None)


def as_json(made: logging.LogRecord) -> dict[str, object]:
    text = JsonFormatter().format(made)
    assert "\n" not in text
    entry: dict[str, object] = json.loads(text)
    return entry


def parts(message: str, *arguments: object) -> dict[str, object]:
    """Event, fields and text; without what every line has."""
    entry = as_json(record(message, *arguments))
    return {name: value for name, value in entry.items() if name not in {"time", "level", "logger"}}


@pytest.mark.parametrize(
    ("message", "arguments", "expected"),
    [
        ("stopped", (), {"event": "stopped"}),
        ("ring version=%d partitions=%d", (3, 64), {"event": "ring", "version": 3, "partitions": 64}),
        (
            "link_down shard=%s node=%s reason=%r",
            ("10.0.0.5:8090", None, "lost = gone"),
            {"event": "link_down", "shard": "10.0.0.5:8090", "node": None, "reason": "lost = gone"},
        ),
        (
            "config_notice %s",
            ("--data-dir: has no effect",),
            {"event": "config_notice", "text": "--data-dir: has no effect"},
        ),
        ("store_reached %s", ("host=h port=1",), {"event": "store_reached", "host": "h", "port": "1"}),
        (
            "store_away error=%r: trying on",
            ("no route",),
            {"event": "store_away", "error": "no route", "text": "trying on"},
        ),
        (
            "reaper_off: this process requeues 100%% nothing",
            (),
            {"event": "reaper_off", "text": "this process requeues 100% nothing"},
        ),
        ("killed name=%s level=%s", ("a", 5), {"event": "killed", "name": "a", "level_": 5}),
        ("Unclosed connection %s", ("x",), {"event": "message", "text": "Unclosed connection x"}),
        (
            "killed reason=did_not_stop_in_%.1fs",
            (1.25,),
            {"event": "killed", "reason": "did_not_stop_in_1.2s"},
        ),
    ],
)
def test_an_event_and_its_fields_are_values_of_their_own(
    message: str, arguments: tuple[object, ...], expected: dict[str, object]
) -> None:
    assert parts(message, *arguments) == expected


def test_a_json_line_has_time_level_and_logger() -> None:
    made = record("stopped", level=logging.INFO)
    made.created = 1_767_225_600.5
    entry = as_json(made)
    assert entry == {
        "time": "2026-01-01T00:00:00.500Z",
        "level": "info",
        "logger": "router.shards.link",
        "event": "stopped",
    }


def test_an_unforeseen_error_keeps_its_traceback_in_its_line() -> None:
    made = record("request_failed operation=%s", "enqueue")
    error = RuntimeError("two\nlines")
    made.exc_info = (type(error), error, None)
    entry = as_json(made)
    assert entry["event"] == "request_failed"
    assert "RuntimeError: two\nlines" in str(entry["traceback"])


def test_lines_about_a_request_have_its_id() -> None:
    console = ConsoleFormatter("%(levelname)s %(message)s")
    assert console.format(record("stopped")) == "WARNING stopped"
    request_ids.current.set("r-1")
    assert console.format(record("stopped")) == "WARNING stopped request_id=r-1"
    assert parts("stopped") == {"event": "stopped", "request_id": "r-1"}


@pytest.mark.parametrize("given", ["a", "0b4a-11/x:y=z@h+_.", "x" * 128])
def test_a_clients_id_is_taken(given: str) -> None:
    assert request_ids.accept(given) == given


@pytest.mark.parametrize("given", ["", "a b", "a\n", "ä", '"', "x" * 129])
def test_another_id_is_made_where_it_cannot_be_taken(given: str) -> None:
    first, second = request_ids.accept(given), request_ids.accept(given)
    assert given not in {first, second}
    assert first != second
    assert request_ids.accept(second) == second


def test_a_byte_that_is_not_utf_8_costs_its_character_and_not_the_line() -> None:
    """aiohttp keeps such bytes of a header as lone surrogates, which JSON cannot hold."""
    assert parts("refused agent=%s", "curl\udcff/8")["agent"] == "curl?/8"
