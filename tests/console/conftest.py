"""Provides one cluster with a console and one Chromium for all tests of this package.

The package's tests are plain functions: Playwright's own event loop runs in their thread.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import pytest

from router.access.token_file import new_token
from sharq_core.config import parse_url
from tests.console.site import WIDE, Profiles, Site, Watched
from tests.support.processes.servers import PATIENT, SharqCluster
from tests.support.stores.server import WRITTEN_AOF, running_store
from tests.support.tools import chromium_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

WORDS = {
    "admin": "",
    "reader": " ops=read",
    "clerk": " ops=read|operate types=sms*",
    "worker": " ops=work",
}
"""Name of a token → the words of its line."""


class OpenPage(Protocol):
    """open_page(scheme="light", width=1280): a page without faults at the end of the test."""

    def __call__(self, scheme: Literal["light", "dark"] = "light", width: int = WIDE) -> Watched:
        """Return a new page."""
        ...


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """A cluster shared by all tests of the console."""
    with running_site() as running:
        yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - see `expect`

    with sync_playwright() as playwright, chromium(playwright) as running:
        yield running


@pytest.fixture(scope="package")
def profiles(browser: Browser) -> Profiles:
    """The profiles that pages of one look share."""
    return Profiles(browser)


@contextmanager
def running_site() -> Iterator[Site]:
    """Run a cluster of a router and two shards that asks for tokens."""
    made = {name: new_token(name) for name in WORDS}
    with (
        running_store("valkey", *WRITTEN_AOF) as store,
        tempfile.TemporaryDirectory(prefix="sharq-") as folder,
    ):
        tokens = Path(folder) / "tokens"
        tokens.write_text("".join(f"{line}{WORDS[name]}\n" for name, (_, line) in made.items()))
        environ = {"SHARQ_AUTH_TOKENS_FILE": str(tokens), **PATIENT}
        cluster = SharqCluster(Path(folder), parse_url(store.url), environ, routers=1, shards=2)
        try:
            for process in (*cluster.shards, *cluster.routers):
                process.launch()
            for process in (*cluster.shards, *cluster.routers):
                process.until_status(200)
            yield Site(cluster, {name: token for name, (token, _) in made.items()})
        finally:
            cluster.end()


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Run Chromium without a window."""
    browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])
    try:
        yield browser
    finally:
        browser.close()


@pytest.fixture
def open_page(profiles: Profiles, site: Site) -> Iterator[OpenPage]:
    """Opens pages; at the end none of them has seen a fault."""
    opened: list[Watched] = []

    def make(scheme: Literal["light", "dark"] = "light", width: int = WIDE) -> Watched:
        opened.append(Watched(profiles.of(scheme, width), site))
        return opened[-1]

    yield make
    faults = [fault for watched in opened for fault in watched.faults]
    for watched in opened:
        watched.close()
    assert faults == []


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """A queue type of the test's own."""
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    return f"sms-{name[:50]}-{uuid.uuid4().hex[:8]}"
