"""The site in a browser: pages fit a narrow screen, nothing fails, no request goes elsewhere, and the search finds."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.extent import is_full
from tests.support.tools import chromium_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NARROW, WIDE, HEIGHT = 360, 1280, 900
FEW = {
    "light": (
        "",
        "quickstart/",
        "comparison/",
        "limits/",
        "operations/",
        "glossary/",
        "tutorials/carrier/",
        "lua/",
    ),
    "dark": ("", "concepts/", "jobs/"),
}
"""The pages of a quick run; a full one looks at all of them."""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, *words: object) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    """The address of the site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it takes half a second to load

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program(), args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page of the browser that notes what must not happen."""

    def __init__(self, browser: Browser, url: str, scheme: str, width: int = WIDE) -> None:
        self.faults: list[str] = []
        context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)  # type: ignore[arg-type]
        self.page: Page = context.new_page()
        self.page.on(
            "console", lambda message: self._note(message.type in {"error", "warning"}, message.text)
        )
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on(
            "request",
            lambda request: self._note(not request.url.startswith((url, "data:", "blob:")), request.url),
        )
        self.page.on(
            "response", lambda answer: self._note(answer.status >= 400, f"{answer.status} {answer.url}")
        )

    def _note(self, is_fault: bool, words: str) -> None:
        if is_fault:
            self.faults.append(words)

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the screen."""
        wider: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider


def addresses(site: Path, scheme: str) -> list[str]:
    every = [path.parent.relative_to(site).as_posix() + "/" for path in sorted(site.rglob("index.html"))]
    return ["" if address == "./" else address for address in every] if is_full() else list(FEW[scheme])


@pytest.mark.slow
@pytest.mark.timeout(900 if is_full() else 120)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_nothing_fails(browser: Browser, site: Path, url: str, scheme: str) -> None:
    watched = Watched(browser, url, scheme)
    for address in addresses(site, scheme):
        for width in (WIDE, NARROW):
            watched.page.set_viewport_size({"width": width, "height": HEIGHT})
            if width == WIDE:
                watched.page.goto(url + address)
                assert watched.page.locator("h1").first.is_visible()
            assert watched.overflow() <= 0, f"{address} at {width} px"
    assert watched.faults == []


def test_drawings_follow_the_scheme_that_the_reader_chooses(browser: Browser, url: str) -> None:
    watched = Watched(browser, url, "light")
    watched.page.goto(f"{url}concepts/")
    color = "getComputedStyle(document.querySelector('.sharq-drawing text')).fill"
    before = watched.page.evaluate(color)
    watched.page.get_by_title("Switch to dark colours").click()
    assert watched.page.evaluate(color) != before
    assert watched.faults == []


def test_search_finds_what_a_hold_is(browser: Browser, url: str) -> None:
    watched = Watched(browser, url, "light")
    watched.page.goto(url)
    watched.page.locator("input.md-search__input").click()
    watched.page.keyboard.type("hold")
    found = watched.page.locator(".md-search-result__link").filter(has_text="Holds")
    found.first.wait_for()
    assert re.search(r"/limits/.*#holds$", found.first.get_attribute("href") or "")
    assert watched.faults == []
