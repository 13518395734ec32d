"""One HTTP request as the handlers see it."""

from __future__ import annotations

from asyncio import Task, get_running_loop, timeout
from collections.abc import Callable, Mapping
from typing import TypeAlias

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from multidict import MultiDict, MultiMapping

from sharq_core.errors import TooSlow

BODY_TIMEOUT_S = 30.0
_NO_PARAMETERS: MultiMapping[str] = MultiDict()


class Request(web.BaseRequest):
    """A request, and what its path named.

    Attributes:
        path_values: name → value, percent-decoded; not validated.
        body_timeout_s: how long its body may take.
    """

    path_values: Mapping[str, str] = {}
    body_timeout_s: float = BODY_TIMEOUT_S

    @property
    def query(self) -> MultiMapping[str]:
        """The parameters of the query string."""
        return self._rel_url.query if self._rel_url.raw_query_string else _NO_PARAMETERS

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            HTTPRequestEntityTooLarge, TooSlow: it is longer than it may be, or does not come in time. Nothing was done.
        """
        if self._read_bytes is None:
            if not self._payload.is_eof():
                return await self._read_in_time()
            self._read_bytes = self._payload.read_nowait()
            if len(self._read_bytes) > self._client_max_size:
                raise web.HTTPRequestEntityTooLarge(self._client_max_size)
        return self._read_bytes

    async def _read_in_time(self) -> bytes:
        try:
            async with timeout(self.body_timeout_s):
                return await super().read()
        except TimeoutError as error:
            raise TooSlow(f"body: not here within {self.body_timeout_s:.3g} s") from error


RequestFactory: TypeAlias = Callable[
    [RawRequestMessage, StreamReader, RequestHandler, AbstractStreamWriter, "Task[None]"], Request
]


def request_factory(
    max_body_bytes: int,
    body_timeout_s: float = BODY_TIMEOUT_S,
    begun: Callable[[RequestHandler, None], object] = lambda handler, _: None,
) -> RequestFactory:
    """Makes the requests of a server.

    Args:
        max_body_bytes: of one body, decompressed.
        body_timeout_s: how long one body may take.
        begun: told the connection of each request, and None.
    """
    loop = get_running_loop()

    def make(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: Task[None],
    ) -> Request:
        begun(protocol, None)
        request = Request(message, payload, protocol, writer, task, loop, client_max_size=max_body_bytes)
        request.body_timeout_s = body_timeout_s
        return request

    return make
