"""Writes the access log: one line a request, or one line for every n-th request.

Responses of 500 and above are always logged. A line has the original's format, or is JSON without the query, since a
query may hold a lease token.
"""

from __future__ import annotations

import itertools
import logging
from datetime import UTC, datetime

import msgspec
from aiohttp.abc import AbstractAccessLogger
from aiohttp.web import BaseRequest, StreamResponse
from aiohttp.web_log import AccessLogger

from sharq_core.config import Config
from sharq_core.config.kinds import shown_path
from sharq_core.errors import ConfigError
from sharq_core.logs.line_queue import LineQueue, open_queue
from sharq_core.logs.log_file import LogFile
from sharq_core.logs.setup import JSON, json_line
from sharq_core.process.sighup import on_reload

log = logging.getLogger("sharq.router")

_FAILED = 500


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
        file = LogFile(path, "access_log", log)
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
        self.logger.info("%s", json_line(entry))


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
