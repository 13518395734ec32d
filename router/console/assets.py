"""Reads the files of the console and serves them with the headers that keep other pages out.

The files reveal nothing, so they need no token; the page asks for one and sends it with each call of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from aiohttp import web
from msgspec import Struct
from multidict import istr

from router.http.request import Request
from router.http.response import Headers, Response
from sharq_core.errors import NotFound

FOLDERS = ("", "views", "widgets")
"""The folders of the console's files."""

PAGE = "index.html"

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""The ending of a file's name → its media type. Files with other endings are not served."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

SECURITY_HEADERS: Headers = (
    ("Content-Security-Policy", _POLICY),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""The headers of every file: the page runs its own code only, calls only its own server, and stands in no frame."""

_IF_NONE_MATCH = istr("If-None-Match")


class Asset(Struct, frozen=True):
    """A file of the console.

    Attributes:
        tag: the entity tag, made from the content.
        headers: all headers of the answer but its length.
    """

    content: bytes
    tag: str
    headers: Headers


class AssetHandlers:
    """The handlers of the console's files, which are read once."""

    def __init__(self) -> None:
        self._assets = read_assets()

    async def page(self, request: Request) -> Response:
        """Return the page, or send `/console` to the address below which its files are."""
        if not request.rel_url.raw_path.endswith("/"):
            return Response(b"", 302, headers=(("Location", "console/"), *SECURITY_HEADERS))
        return self._answer(request, PAGE)

    async def file(self, request: Request) -> Response:
        """Return a file.

        Raises:
            NotFound: the console has no such file.
        """
        return self._answer(request, request.path_values["file"])

    async def view_file(self, request: Request) -> Response:
        """Return a file of the views; raise NotFound if there is none."""
        return self._answer(request, f"views/{request.path_values['file']}")

    async def widget_file(self, request: Request) -> Response:
        """Return a file of the widgets; raise NotFound if there is none."""
        return self._answer(request, f"widgets/{request.path_values['file']}")

    def _answer(self, request: Request, name: str) -> Response:
        asset = self._assets.get(name)
        if asset is None:
            raise NotFound("the console has no such file")
        known_tags = request.headers.get(_IF_NONE_MATCH, "")
        if asset.tag in {tag.strip().removeprefix("W/") for tag in known_tags.split(",")}:
            return _Unmodified(asset.headers)
        return Response(asset.content, headers=asset.headers)


class _Unmodified(Response):
    """The answer that the browser's copy of a file is still right. It has no body and gives no length."""

    __slots__ = ()

    def __init__(self, headers: Headers) -> None:
        super().__init__(b"", 304, headers=headers)

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send the head.

        Raises:
            ConnectionError: the client has disconnected.
        """
        if self.keep_alive is None:
            self.keep_alive = request.keep_alive
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        head = self._head(request.version, "")
        self.body_length = len(head)
        transport.write(head)


def read_assets() -> Mapping[str, Asset]:
    """Return path → file for every file of the console; a path is relative and has at most one slash."""
    root = files("router.console") / "static"
    assets: dict[str, Asset] = {}
    for folder in FOLDERS:
        place = root / folder if folder else root
        for file in place.iterdir() if place.is_dir() else ():
            media_type = _media_type(file)
            if media_type is not None:
                assets[f"{folder}/{file.name}" if folder else file.name] = _asset(
                    file.read_bytes(), media_type
                )
    return assets


def _media_type(file: Traversable) -> str | None:
    _, dot, ending = file.name.rpartition(".")
    return MEDIA_TYPES.get(dot + ending) if file.is_file() else None


def _asset(content: bytes, media_type: str) -> Asset:
    tag = f'"{sha256(content).hexdigest()[:32]}"'
    headers = (("Content-Type", media_type), ("Cache-Control", "no-cache"), ("ETag", tag), *SECURITY_HEADERS)
    return Asset(content, tag, headers)
