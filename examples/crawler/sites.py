"""Three web sites with their robots.txt, all served by this machine."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult


@dataclass
class Visit:
    """A request that has arrived; times are in seconds since the epoch.

    Attributes:
        at_once: the requests to this host that were open, with this one.
        delay: the crawl-delay that the host asked for at this time, in seconds.
    """

    at: float
    host: str
    path: str
    at_once: int
    delay: float


class Sites:
    """Web sites. Page n links to pages 2n + 1 and 2n + 2, to some that others link to, and to what nobody may visit."""

    def __init__(self, pages: dict[str, int], delays: dict[str, float]) -> None:
        self.pages = pages
        self.delays = delays
        self.visits: list[Visit] = []
        self._open = dict.fromkeys(pages, 0)

    async def get(self, request: web.Request) -> web.Response:
        """Answer with a page, or with the robots.txt of the host that the request names."""
        host = request.url.host or ""
        self._open[host] += 1
        self.visits.append(Visit(time.time(), host, request.path, self._open[host], self.delays[host]))
        try:
            if request.path == "/robots.txt":
                return web.Response(
                    text=f"User-agent: *\nCrawl-delay: {self.delays[host]}\nDisallow: /private/\n"
                )
            links = self._links(host, int(request.path.strip("/") or "0"), request.url.port or 80)
            return web.Response(
                text="".join(f'<a href="{link}">' for link in links), content_type="text/html"
            )
        finally:
            self._open[host] -= 1

    def _links(self, host: str, number: int, port: int) -> list[str]:
        pages = self.pages[host]
        near = [n for n in (2 * number + 1, 2 * number + 2, number * 7 % pages) if n < pages]
        others = [other for other in self.pages if other != host]
        return [
            *(f"/{n}" for n in near),
            *(f"http://{other}:{port}/{number % self.pages[other]}" for other in others),
            f"/private/{number}",
        ]


class OnThisMachine(AbstractResolver):
    """The name service of the example: every host is this machine. A real crawler needs none."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the address of this machine."""
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""
