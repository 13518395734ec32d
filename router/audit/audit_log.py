"""Writes the audit log: who changed what and when, with which outcome.

An entry is written for each change that was made, that was perhaps made, or that was refused because the caller may not
make it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from router.access.permissions import Permission
from router.api.routes.route import Route
from router.audit.fields import changed_fields
from router.bodies.large_body import CompressedBody
from router.bodies.parser import BodyParser
from router.http.request import Request
from router.http.response import Response
from sharq_core.config import Config
from sharq_core.config.kinds import shown_path
from sharq_core.errors import ConfigError, Unavailable
from sharq_core.logs.line_queue import LineQueue, open_queue
from sharq_core.logs.log_file import LogFile
from sharq_core.process.sighup import on_reload

log = logging.getLogger("sharq.router")
audit = logging.getLogger("sharq.audit")
audit.setLevel(logging.INFO)  # whatever the level of the other events is

_MAX_NAME = 100
"""The most characters of a name in a path. The path of a refused request is as its caller wrote it."""

_MAX_QUERY_BYTES = 256
"""The most bytes of the query of a failed call: nothing has checked what its caller wrote there."""

_FILE_MODE = 0o640
_NO_TOKEN = "-"
_BODY_NOT_SHOWN = {"body": "(too long to be shown)"}

_encode = msgspec.json.Encoder().encode


class _Affected(Struct, frozen=True):
    """The numbers in an answer that say how much a change affected."""

    cancelled: int | UnsetType = UNSET
    redriven: int | UnsetType = UNSET
    dropped: int | UnsetType = UNSET
    failed: int | UnsetType = UNSET


_decode_affected = msgspec.json.Decoder(_Affected).decode


class AuditLog:
    """The audit log of one process.

    Args:
        routes: all operations; the log has those that change more than the traffic of jobs does.
        parser: reads long bodies.
        file: the lines of the audit file; None if there is no file.

    Attributes:
        operations: the operations that it has.
    """

    def __init__(self, routes: Iterable[Route], parser: BodyParser, file: LineQueue | None = None) -> None:
        self.operations = frozenset(route.operation for route in routes if is_audited(route))
        self._parser = parser
        self._file = file

    async def note(self, request: Request, operation: str, response: Response, request_id: str) -> None:
        """Write the entry of a request to one of `operations`, if its response calls for one. This does not raise."""
        if not _calls_for_entry(response.status):
            return
        try:
            self._write(await self._entry(request, operation, response, request_id))
        except Exception:
            log.exception("audit_failed operation=%s", operation)

    async def _entry(
        self, request: Request, operation: str, response: Response, request_id: str
    ) -> dict[str, Any]:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "time": at,
            "event": "change",
            "token": _NO_TOKEN if request.token is None else request.token.name,
            "operation": operation,
            "target": {name: value[:_MAX_NAME] for name, value in request.path_values.items()},
            "changed": await self._changed(request, response.status),
            "outcome": response.result,
            **_counts(response),
            "request_id": request_id,
        }

    async def _changed(self, request: Request, status: int) -> dict[str, Any]:
        """Return what the request changes, by its query and body. Nothing has checked those of a refused request."""
        if status == HTTPStatus.FORBIDDEN:
            return {}
        by_query, body = dict(request.query), request.received_body
        if status >= HTTPStatus.BAD_REQUEST:
            by_query = shown_query(by_query)
        if body is None:
            return by_query
        if isinstance(body, CompressedBody):
            return by_query | _BODY_NOT_SHOWN
        try:
            return by_query | await self._parser.run(changed_fields, body)
        except Unavailable:
            return by_query | _BODY_NOT_SHOWN

    def _write(self, entry: Mapping[str, Any]) -> None:
        counts = [name for name in _Affected.__struct_fields__ if name in entry]
        template = "change token=%s operation=%s target=%r changed=%r outcome=%s"
        audit.info(
            template + "".join(f" {name}=%d" for name in counts),
            entry["token"],
            entry["operation"],
            "/".join(entry["target"].values()),
            _encode(entry["changed"]).decode(),
            entry["outcome"],
            *(entry[name] for name in counts),
        )
        if self._file is not None:
            self._file.put(_encode(entry) + b"\n")


def shown_query(query: Mapping[str, str]) -> dict[str, str]:
    """Return the first _MAX_QUERY_BYTES of the names and values of a query."""
    shown: dict[str, str] = {}
    remaining = _MAX_QUERY_BYTES
    for name, value in query.items():
        if remaining <= 0:
            break
        cut_name = name.encode()[:remaining].decode(errors="ignore")
        remaining -= len(cut_name.encode())
        shown[cut_name] = value.encode()[:remaining].decode(errors="ignore")
        remaining -= len(shown[cut_name].encode())
    return shown


def is_audited(route: Route) -> bool:
    """Return True if the audit log has the operation of a route."""
    is_for_operators = {Permission.OPERATE, Permission.ADMIN}.intersection(route.permissions)
    return bool(is_for_operators) and route.methods != ("GET",)


def open_audit_file(config: Config) -> LineQueue | None:
    """Open the configured audit file. Return None if none is configured.

    Raises:
        ConfigError: the file cannot be written.
    """
    path = config.auth.audit_file
    if path is None:
        return None
    try:
        file = LogFile(path, "audit_file", log, _FILE_MODE)
    except OSError as error:
        raise ConfigError(
            f"[auth] audit_file: {shown_path(path)} cannot be written: {error.strerror}"
        ) from None
    on_reload(f"audit file {path}", file.reopen)
    return open_queue("audit", file)


def _calls_for_entry(status: int) -> bool:
    """Return True if a change was made, perhaps in part, or refused for lack of a permission.

    All other failures of a caller (4xx) changed nothing.
    """
    return not 400 <= status < 500 or status == HTTPStatus.FORBIDDEN


def _counts(response: Response) -> dict[str, int]:
    if response.status >= 400:
        return {}
    counts = msgspec.structs.asdict(_decode_affected(response.body))
    return {name: count for name, count in counts.items() if count is not UNSET}
