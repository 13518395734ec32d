"""The access log: a line a request, or for one request in so many; answers of 500 and above always have theirs.

In the original's form, or as JSON without the query, which may hold a lease token. Not here: the process's own log
(sharq_core/process/logs.py).
"""

from __future__ import annotations

import itertools
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler

import msgspec
from aiohttp.abc import AbstractAccessLogger
from aiohttp.web import BaseRequest, StreamResponse
from aiohttp.web_log import AccessLogger

from sharq_core.config import Config
from sharq_core.config.kinds import shown_path
from sharq_core.errors import ConfigError
from sharq_core.process.logs import JSON

log = logging.getLogger("sharq.router")

_FAILED = 500
_encode = msgspec.json.Encoder().encode


class AccessLog(msgspec.Struct, frozen=True):
    """Where lines go, and what writes them."""

    logger: logging.Logger
    writer: type[AbstractAccessLogger]


def open_access_log(config: Config) -> AccessLog | None:
    """The access log that is configured; None for none.

    Raises:
        ConfigError: the file cannot be written.
    """
    path = config.server.accesslog
    if path is None:
        return None
    try:
        handler = _File(path)
    except OSError as error:
        raise ConfigError(
            f"[sharq-server] accesslog: {shown_path(path)} cannot be written: {error.strerror}"
        ) from None
    logger = logging.getLogger("sharq.access")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    writer = _JsonLines if config.log.format == JSON else AccessLogger
    return AccessLog(logger, _sampled(writer, config.server.accesslog_sample))


class _File(WatchedFileHandler):
    """The file, opened anew when it was moved away. A line that cannot be written is lost and its request is not; that
    this begins and ends is logged, not each line.
    """

    _failure: BaseException | None = None
    _is_lost = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        failure = self._write(record)
        if failure is not None and not self._is_lost:
            log.warning("access_log_lost path=%s error=%r", self.baseFilename, str(failure))
        elif failure is None and self._is_lost:
            log.info("access_log_back path=%s", self.baseFilename)
        self._is_lost = failure is not None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Note why the line was not written."""
        self._failure = sys.exc_info()[1]

    def _write(self, record: logging.LogRecord) -> BaseException | None:
        """Returns why the line was not written, None when it was."""
        self._failure = None
        try:
            super().emit(record)
        except OSError as error:
            return error
        return self._failure


class _JsonLines(AbstractAccessLogger):
    """A JSON object a request."""

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
    """As the writer, for one request in `every` of the whole process, and for those that failed."""
    if every == 1:
        return writer
    numbers = itertools.count()

    class Sampled(writer):  # type: ignore[valid-type,misc] # which of the two is known at the start only
        def log(self, request: BaseRequest, response: StreamResponse, time: float) -> None:
            if next(numbers) % every == 0 or response.status >= _FAILED:
                super().log(request, response, time)

    return Sampled
