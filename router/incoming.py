"""One HTTP request as the handlers see it."""

from __future__ import annotations

from asyncio import Task, get_running_loop
from collections.abc import Callable, Mapping
from typing import TypeAlias

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler


class Request(web.BaseRequest):
    """A request, and what its path named.

    Attributes:
        path_values: name → value, percent-decoded; not validated.
    """

    path_values: Mapping[str, str] = {}


RequestFactory: TypeAlias = Callable[
    [RawRequestMessage, StreamReader, RequestHandler, AbstractStreamWriter, "Task[None]"], Request
]


def request_factory(max_body_bytes: int) -> RequestFactory:
    """Makes the requests of a server whose bodies have at most max_body_bytes, decompressed."""
    loop = get_running_loop()

    def make(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: Task[None],
    ) -> Request:
        return Request(message, payload, protocol, writer, task, loop, client_max_size=max_body_bytes)

    return make
