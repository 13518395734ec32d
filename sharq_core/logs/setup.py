"""Formats the log: one line per event on stderr, for people or as JSON.

A call site says `log.warning("link_down shard=%s reason=%r", address, reason)`: an event's name, then its fields. For
people that is the line. As JSON the fields are values of their own, derived from the template, so that none has to be
parsed out of a sentence. Payloads and secrets are in neither: no call site is given them. Not here: the access log
(router/http/access_log.py).
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from sharq_core.logs import request_ids
from sharq_core.logs.standard_files import AsideStream

CONSOLE, JSON = "console", "json"

_LINE = "%(asctime)s %(levelname)s %(message)s"
_CONVERSION = r"%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]"
_EVENT = re.compile(r"([a-z][a-z0-9_]*)(?=[ :]|$):?\s*")
_PIECE = re.compile(rf"(?:(?<!\S)(\w+)=)?({_CONVERSION})(?=[\s,:;]|$)|({_CONVERSION})|%%")
_PAIRS = re.compile(r"\w+=\S+(?: \w+=\S+)*")
_RESERVED = frozenset({"time", "level", "logger", "event", "text", "worker", "request_id", "traceback"})
_LOST = "log_lines_lost count=%d: the log's reader was stalled, or its disk was full"
_PLAIN = (str, int, float, bool, type(None))

_worker: dict[str, int] = {}
"""The field that names this process in each line: the number of a worker of sharq-server; empty in other processes."""

_encode = msgspec.json.Encoder().encode
_stderr = logging.StreamHandler(sys.stderr)


def log_to_stderr(form: str = CONSOLE, level: str = "info") -> None:
    """Write events from `level` up to stderr in one form (console or json); the last call holds.

    stdout is for output that a person waits for. In a program a thread writes the lines (standard_files.py), so that no
    caller waits for the log.
    """
    _stderr.setFormatter(JsonFormatter() if form == JSON else ConsoleFormatter(_LINE))
    if _stderr.stream is None or isinstance(sys.stderr, AsideStream):
        _stderr.setStream(sys.stderr)
    root = logging.getLogger()
    root.setLevel(level.upper())
    if _stderr not in root.handlers:
        root.addHandler(_stderr)


def name_worker(number: int) -> None:
    """Let each line name this process as the worker with this number."""
    _worker["worker"] = number


def lost_line(lost: int) -> bytes:
    """Return the log line that reports lost lines, in the form of the others."""
    record = logging.LogRecord("sharq.process", logging.WARNING, __file__, 0, _LOST, (lost,), None)
    return f"{_stderr.format(record)}\n".encode()


def json_line(entry: Mapping[str, object]) -> str:
    """Return an entry as one line of JSON. A byte of a request that was not UTF-8 becomes a question mark."""
    try:
        return _encode(entry).decode()
    except UnicodeEncodeError:
        return json.dumps(entry, ensure_ascii=False).encode(errors="replace").decode()


class ConsoleFormatter(logging.Formatter):
    """A line for people; it ends with the number of the worker, and with the id of the request that it belongs to."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the line, with the number of the worker and the id of the request that it belongs to."""
        line = super().formatMessage(record)
        if _worker:
            line = f"{line} worker={_worker['worker']}"
        request_id = request_ids.current.get()
        return line if request_id is None else f"{line} request_id={request_id}"


class JsonFormatter(logging.Formatter):
    """A JSON object on one line: time, level, logger, event, the event's fields and any further text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON object."""
        event, fields, text = _parts(record)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry: dict[str, object] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
            **_worker,
            **{f"{name}_" if name in _RESERVED else name: _plain(value) for name, value in fields.items()},
        }
        if text:
            entry["text"] = text
        if (request_id := request_ids.current.get()) is not None:
            entry["request_id"] = request_id
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json_line(entry)


class _Template(msgspec.Struct, frozen=True):
    """A message before its arguments.

    Attributes:
        names: the name of each argument, None for those that are part of the text.
    """

    event: str
    names: tuple[str | None, ...]
    text: str


@lru_cache(maxsize=500)
def _template(message: str) -> _Template | None:
    """Return the parsed message; None if it begins with no event name, because other libraries write sentences."""
    event = _EVENT.match(message)
    if event is None:
        return None
    names: list[str | None] = []

    def keep_unnamed(piece: re.Match[str]) -> str:
        if piece[0] == "%%":
            return "%%"
        names.append(piece[1])
        return "" if piece[1] else piece[0]

    text = _PIECE.sub(keep_unnamed, message[event.end() :])
    return _Template(event[1], tuple(names), text)


def _parts(record: logging.LogRecord) -> tuple[str, dict[str, Any], str]:
    """Return the event, its fields and the words beside them."""
    template = _template(str(record.msg))
    arguments = record.args if isinstance(record.args, tuple) else ()
    if template is None or len(template.names) != len(arguments):
        return "message", {}, record.getMessage()
    named = zip(template.names, arguments, strict=True)
    fields = {name: value for name, value in named if name is not None}
    rest = [value for name, value in zip(template.names, arguments, strict=True) if name is None]
    text = " ".join((template.text % tuple(rest)).split()).strip(":,; ")
    if _PAIRS.fullmatch(text):
        return template.event, {**fields, **dict(pair.split("=", 1) for pair in text.split(" "))}, ""
    return template.event, fields, text


def _plain(value: object) -> object:
    return value if isinstance(value, _PLAIN) else str(value)
