"""Speaks HTTP to a server and holds each of its answers to the server's own OpenAPI document."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import re
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from tests.support.json_schema import Draft202012Validator, validate

ValueT = TypeVar("ValueT")
Document = dict[str, Any]
"""A JSON object whose shape the test knows."""


def inlined(document: Document) -> Document:
    """Return the document with its shared responses, headers and parameters in place of the references to them.

    References to schemas stay.
    """
    found = _inlined(document, document["components"])
    assert isinstance(found, dict)
    return found


def _inlined(part: Any, components: Document) -> Any:
    if isinstance(part, list):
        return [_inlined(inner, components) for inner in part]
    if not isinstance(part, dict):
        return part
    kind, _, name = str(part.get("$ref", "")).removeprefix("#/components/").partition("/")
    if kind in ("responses", "headers", "parameters"):
        return _inlined(components[kind][name], components)
    return {name: _inlined(inner, components) for name, inner in part.items()}


def closed(document: Document) -> Document:
    """Return the document with every object closed that it leaves open for the fields of later versions.

    So a test sees that an answer has a field that the document does not have.
    """
    schemas = document["components"]["schemas"]
    shut = {
        name: {"additionalProperties": False, **schema} if "properties" in schema else schema
        for name, schema in schemas.items()
    }
    return {**document, "components": {**document["components"], "schemas": shut}}


class Server(Protocol):
    """The part of the `server` fixture that tests use."""

    url: str


class Reply:
    """One answer: its status, headers, text, and JSON where it is an object."""

    def __init__(self, response: aiohttp.ClientResponse, content: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.content = content
        is_json = response.content_type == "application/json"
        self.json: Document = msgspec.json.decode(content) if is_json else {}


class Api:
    """A client that fails the test where an answer is not as documented."""

    def __init__(self, url: str, http: aiohttp.ClientSession, contract: Contract) -> None:
        self.url = url
        self._http = http
        self._contract = contract
        self.document = contract.document

    @classmethod
    async def open(cls, url: str, http: aiohttp.ClientSession) -> Api:
        """Reads the server's document."""
        async with http.get(f"{url}/openapi.json") as response:
            return cls(url, http, contract_of(await response.read()))

    async def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Sends a request. The path goes out as it is; a body of bytes too, any other but None as JSON."""
        text = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        data = None if text is None else io.BytesIO(text)
        address = URL(self.url + path, encoded=True)
        async with self._http.request(method, address, data=data, headers=headers) as response:
            reply = Reply(response, await response.read())
        self._contract.check(method, path, reply)
        return reply

    async def get(self, path: str) -> Reply:
        return await self.call("GET", path)

    async def post(self, path: str, body: object = None) -> Reply:
        return await self.call("POST", path, body)

    async def delete(self, path: str, body: object = None) -> Reply:
        return await self.call("DELETE", path, body)

    async def enqueue(self, kind: str, queue_id: str = "1", **fields: object) -> Reply:
        """Queues a job without a rate limit, unless told otherwise."""
        rate = {} if "rate" in fields else {"interval": 0}
        reply = await self.post(f"/enqueue/{kind}/{queue_id}/", {**rate, "payload": None, **fields})
        assert reply.status == 201, reply.json
        return reply

    async def lease(self, kind: str, query: str = "") -> Document:
        """Leases one job; there is one, or one will be ready soon."""
        reply = await self.get(f"/dequeue/{kind}/?wait=5000{query}")
        assert reply.status == 200, reply.json
        return reply.json

    async def state(self, kind: str, job_id: str, queue_id: str = "1") -> str | None:
        """Return the state of a job, None for an unknown one."""
        reply = await self.get(f"/job/{kind}/{queue_id}/{job_id}/")
        return str(reply.json["state"]) if reply.status == 200 else None

    async def queue(self, kind: str, queue_id: str = "1") -> Document:
        """Return the state of a queue, which exists."""
        reply = await self.get(f"/queue/{kind}/{queue_id}/")
        assert reply.status == 200, reply.json
        return reply.json

    async def nothing(self, kind: str) -> Document:
        """Dequeue in vain, and return what the answer says besides its status."""
        reply = await self.get(f"/dequeue/{kind}/")
        assert reply.status == 404, reply.json
        return {name: value for name, value in reply.json.items() if name != "status"}

    async def refused(self, path: str, body: object, field: str) -> str:
        """Send a request that is refused because of a field, and return the message."""
        reply = await self.post(path, body)
        assert (reply.status, reply.json["code"]) == (400, "invalid_request"), reply.json
        message = str(reply.json["message"])
        assert message.startswith(f"{field}: "), message
        return message


class Contract:
    """A server's OpenAPI document, and what it says of each call.

    Attributes:
        document: with closed objects, and all but the schemas in place of the references to it.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._paths = [(_pattern_of(path), operations) for path, operations in document["paths"].items()]

    def check(self, method: str, path: str, reply: Reply) -> None:
        operation = self._operation(method, path.partition("?")[0])
        if operation is None:
            assert reply.status in {404, 405}, (method, path, reply.status)
            schema: Document = {"$ref": "#/components/schemas/FailureAnswer"}
        else:
            assert str(reply.status) in operation["responses"], (
                method,
                path,
                reply.status,
                reply.content[:500],
            )
            documented = operation["responses"][str(reply.status)]
            _check_headers(documented["headers"], reply)
            codes = documented.get("x-codes")
            assert codes is None or reply.json["code"] in codes, (method, path, reply.status, reply.json)
            schema = documented["content"].get("application/json", {}).get("schema", {})
        if schema:
            validator = Draft202012Validator({**schema, "components": self.document["components"]})
            validator.validate(reply.json)

    def _operation(self, method: str, path: str) -> Document | None:
        """Return the document's entry for a call; None if it has none."""
        for pattern, operations in self._paths:
            if pattern.fullmatch(path) and method.lower() in operations:
                operation: Document = operations[method.lower()]
                return operation
        return None


@functools.lru_cache(maxsize=8)
def contract_of(content: bytes) -> Contract:
    """Return the contract that a document makes. To read one takes 13 ms, which is longer than most tests take."""
    return Contract(inlined(closed(json.loads(content))))


def _check_headers(documented: Document, reply: Reply) -> None:
    """Those that an answer of its status must have, in the form that they must have; and no hint is kept secret."""
    for name, header in documented.items():
        assert name in reply.headers or not header["required"], (name, reply.status)
        if name in reply.headers:
            validate(reply.headers[name], header["schema"])
    for name in ("Retry-After", "WWW-Authenticate"):
        assert name not in reply.headers or name in documented, (name, reply.status)


def _pattern_of(path: str) -> re.Pattern[str]:
    """Return a documented path as a pattern, with and without its trailing slash, unless that is another path."""
    if path in ("/", "/metrics", "/metrics/"):
        return re.compile(re.escape(path))
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path.rstrip("/"))) + "/?")


async def open_raw(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a bare connection to a server, for what no well-behaved client does."""
    there = urlsplit(url)
    return await asyncio.open_connection(there.hostname, there.port)
