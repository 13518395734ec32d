"""Writes the access log: one line a request, or one line for every n-th request.

Responses of 500 and above are always logged. A line has the original's format, or is JSON without the query, since a
query may hold a lease token. Not here: the process's own log (sharq_core/logs/setup.py), and the queue that keeps
requests from waiting for the file (sharq_core/logs/line_queue.py).
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from aiohttp.abc import AbstractAccessLogger
from aiohttp.web import BaseRequest, StreamResponse
from aiohttp.web_log import AccessLogger

from sharq_core.config import Config
from sharq_core.config.kinds import shown_path
from sharq_core.errors import ConfigError
from sharq_core.logs.line_queue import Descriptor, LineQueue, open_queue
from sharq_core.logs.setup import JSON
from sharq_core.process.reloading import on_reload

log = logging.getLogger("sharq.router")

_FAILED = 500
_encode = msgspec.json.Encoder().encode


class AccessLog(msgspec.Struct, frozen=True):
    """The logger that takes the lines, and the class that writes them."""

    logger: logging.Logger
    writer: type[AbstractAccessLogger]


def open_access_log(config: Config) -> AccessLog | None:
    """Open the configured access log. Return None if none is configured.

    Raises:
        ConfigError: the file cannot be written.
    """
    path = config.server.accesslog
    if path is None:
        return None
    try:
        file = _LogFile(path)
    except OSError as error:
        raise ConfigError(
            f"[sharq-server] accesslog: {shown_path(path)} cannot be written: {error.strerror}"
        ) from None
    on_reload(f"access log {path}", file.reopen)
    logger = logging.getLogger("sharq.access")
    logger.addHandler(_Lines(open_queue("access", file)))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    writer = _JsonLines if config.log.format == JSON else AccessLogger
    return AccessLog(logger, _sampled(writer, config.server.accesslog_sample))


class _Lines(logging.Handler):
    """A log handler that puts each line into the queue of the file."""

    def __init__(self, queue: LineQueue) -> None:
        super().__init__()
        self._queue = queue

    def emit(self, record: logging.LogRecord) -> None:
        self._queue.put(f"{self.format(record)}\n".encode(errors="backslashreplace"))


class _LogFile:
    """The file of the access log. It is reopened after it was moved away and at a reload.

    A line that cannot be written is lost; its request is not affected. The log says when losses begin and end, and does
    not report each line.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Descriptor | None = None
        self._number = -1
        self._is_stale = False
        self._open()

    def reopen(self) -> Sequence[str]:
        """Reopen the file before the next line."""
        self._is_stale = True
        return ()

    def write(self, data: bytes) -> None:
        """Write some lines, as Target.write describes."""
        if self._is_stale or self._file is None or not self._is_in_place():
            self._close()
            self._open()
        if self._file is not None:
            self._file.write(data)

    def on_loss(self, reason: str) -> None:
        """Log that lines are lost from now on, as Target.on_loss describes."""
        log.warning("access_log_lost path=%s error=%r", self.path, reason)

    def on_room(self, _lost: int, /) -> bytes:
        """Return nothing. Losses are reported in the process's log, since every line here is a request."""
        return b""

    def said(self, lost: int) -> None:
        """Log that lines are written again, as Target.said describes."""
        log.info("access_log_back path=%s lost=%d", self.path, lost)

    def _open(self) -> None:
        # Non-blocking: opening a pipe that has no reader would block the start.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        self._number = os.open(self.path, flags, 0o666)
        self._file = Descriptor(self._number, self.on_loss)
        self._is_stale = False

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._number)
        self._file = None

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._number))
        except FileNotFoundError:
            return False


class _JsonLines(AbstractAccessLogger):
    """A writer of one JSON object a request."""

    def log(self, request: BaseRequest, response: StreamResponse, time: float) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = {
            "time": at,
            "event": "request",
            "remote": request.remote,
            "method": request.method,
            "path": request.rel_url.raw_path,
            "status": response.status,
            "bytes": response.body_length,
            "duration_ms": round(time * 1000, 3),
            "request_id": response.headers.get("X-Request-Id"),
            "user_agent": request.headers.get("User-Agent"),
        }
        self.logger.info("%s", _encode(entry).decode())


def _sampled(writer: type[AbstractAccessLogger], every: int) -> type[AbstractAccessLogger]:
    """Return a writer that logs one request in `every` of the whole process, and every failed one."""
    if every == 1:
        return writer
    numbers = itertools.count()

    class Sampled(writer):  # type: ignore[valid-type,misc] # the base class is chosen at the start
        def log(self, request: BaseRequest, response: StreamResponse, time: float) -> None:
            if next(numbers) % every == 0 or response.status >= _FAILED:
                super().log(request, response, time)

    return Sampled
