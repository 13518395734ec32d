"""A console to test: a real cluster that asks for tokens, its API, and a page of the browser that notes faults."""

from __future__ import annotations

import functools
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tests.support.processes.servers import SharqCluster

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page
    from playwright.sync_api import expect as expect  # noqa: PLC0414 - tests import it from here
else:

    def expect(locator: object) -> object:
        """Return what can be asserted of an element: it is awaited for WAIT_S.

        Playwright takes half a second to load. Most of the processes that collect these tests run none of them.
        """
        from playwright.sync_api import expect as playwright_expect  # noqa: PLC0415

        playwright_expect.set_options(timeout=WAIT_S * 1000)
        return playwright_expect(locator)


Document: TypeAlias = dict[str, Any]

NARROW, WIDE, HEIGHT = 360, 1280, 900
WAIT_S = DEADLINE_S = 30.0


@functools.cache
def axe() -> Any:
    """Return axe, which looks for barriers in a page."""
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # noqa: PLC0415

    return Axe()


class Site:
    """A router with its console.

    Attributes:
        url: of the router, without a slash at the end.
        tokens: name → token: `admin` may do everything, `reader` may read, `clerk` may read and operate on `sms*`,
            `worker` may work.
        cluster: the processes.
    """

    def __init__(self, cluster: SharqCluster, tokens: Mapping[str, str]) -> None:
        self.cluster = cluster
        self.url = cluster.urls[0]
        self.tokens = tokens

    def call(self, method: str, path: str, body: object = None, token: str = "admin") -> Document:
        """Return the JSON of an answer, that of a failure, too."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.tokens[token]}"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as failure:
            with failure:
                return dict(json.load(failure))

    def get(self, path: str, token: str = "admin") -> Document:
        """Return the JSON of a GET."""
        return self.call("GET", path, token=token)

    def enqueue(self, kind: str, queue_id: str, count: int = 1, **fields: object) -> None:
        """Enqueue jobs with the ids 1, 2, ..., at 1 per minute unless the fields say otherwise."""
        job = {"queue_type": kind, "queue_id": queue_id, "interval": 60_000, "payload": 1, **fields}
        jobs = [{**job, "job_id": str(number + 1)} for number in range(count)]
        answer = self.call("POST", "/enqueue/", {"jobs": jobs})
        assert all(result["status"] == "queued" for result in answer["results"]), answer

    def bury(self, kind: str, queue_id: str, error: str) -> None:
        """Make a dead letter of one failed attempt; the type has no other job that is ready."""
        self.enqueue(kind, queue_id, interval=0, requeue_limit=0)
        leased = self.call("POST", f"/dequeue/{kind}/")
        path = f"/release/{kind}/{queue_id}/{leased['job_id']}/"
        answer = self.call("POST", path, {"lease": leased["lease"], "error": error})
        assert answer["status"] == "success", answer

    @contextmanager
    def stream(self, query: str = "", token: str | None = "admin") -> Iterator[http.client.HTTPResponse]:
        """Open the stream; the context ends it."""
        host = self.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=WAIT_S)
        headers = {} if token is None else {"Authorization": f"Bearer {self.tokens[token]}"}
        try:
            connection.request("GET", f"/console/stream{query}", headers=headers)
            yield connection.getresponse()
        finally:
            connection.close()


def events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Document]]:
    """Yield the events of a stream by name; comments and the time to retry are left out."""
    name = ""
    while line := answer.readline():
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def until(
    found: Iterator[tuple[str, Document]], is_wanted: Callable[[Document], object], name: str = "snapshot"
) -> Document:
    """Return the first event of a name that is wanted."""
    deadline_s = time.monotonic() + DEADLINE_S
    for event, data in found:
        if event == name and is_wanted(data):
            return data
        assert time.monotonic() < deadline_s, f"{event}: {data}"
    raise AssertionError("the stream has ended")


def numbers(snapshot: Document, kind: str) -> Document:
    """Return the numbers of a type; empty if the snapshot has none."""
    return next((row for row in snapshot["types"] if row["queue_type"] == kind), {})


class Profiles:
    """The profiles of one browser. Pages of one scheme and width share one, with the console's files in its cache.

    A tab has its own token in any case, and a profile of its own would cost each test 0.7 s of processor time.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._made: dict[tuple[str, int], BrowserContext] = {}

    def of(self, scheme: Literal["light", "dark"] = "light", width: int = WIDE) -> BrowserContext:
        """Return the profile of a scheme and width."""
        if (scheme, width) not in self._made:
            self._made[scheme, width] = self._browser.new_context(
                viewport={"width": width, "height": HEIGHT}, color_scheme=scheme
            )
        return self._made[scheme, width]


class Watched:
    """A page of the browser that notes what must not happen: faults, and requests to elsewhere.

    Attributes:
        faults: what happened, in words.
        page: the page.
    """

    def __init__(self, profile: BrowserContext, site: Site) -> None:
        self.faults: list[str] = []
        self.site = site
        self._profile = profile
        self.page: Page = profile.new_page()
        self.page.set_default_timeout(WAIT_S * 1000)
        own = (site.url, "data:", "blob:")
        self.page.on("console", lambda said: self._note(said.type in {"error", "warning"}, said.text))
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on("request", lambda sent: self._note(not sent.url.startswith(own), sent.url))

    def _note(self, is_fault: bool, words: str) -> None:
        if is_fault:
            self.faults.append(words)

    def open(self, place: str = "#/overview", token: str = "admin") -> Page:
        """Open a view with a token in the tab, as after signing in; return the page."""
        self.page.goto(f"{self.site.url}/console/{place}")
        self.page.locator("#signin-token").fill(self.site.tokens[token])
        self.page.keyboard.press("Enter")
        self.page.locator("#signin-token").wait_for(state="detached")
        self.page.locator("h1").first.wait_for()
        self.forgive(401)  # the first answer asks for a token
        return self.page

    def forgive(self, *statuses: int) -> None:
        """Forget the answers of these statuses, which the browser reports as failed loads."""
        words = tuple(f"the server responded with a status of {status}" for status in statuses)
        self.faults = [fault for fault in self.faults if not any(text in fault for text in words)]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the screen."""
        wider: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider

    def close(self) -> None:
        """Close the page, and those that the test has opened beside it."""
        for page in self._profile.pages:
            page.close()


def cpu_ms(pid: int) -> float:
    """Return the processor time that all threads of a process have taken, in ms."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6
