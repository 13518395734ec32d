"""Changes made through the console's page: each is asked once more, and judged by the API afterwards."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.support.processes.servers import running_server
from tests.support.tools import missing_tool

WIDE, NARROW, HEIGHT = 1280, 360, 900
DEADLINE_S = 20.0
HUGE = 12345678901234567890


class Api:
    """The public API of the server, by which a change is judged."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Return the JSON of an answer, that of a failure too."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as failure:
            return dict(json.load(failure))

    def queue(self, kind: str, queue_id: str = "acme") -> dict[str, Any]:
        """Return the state of a queue."""
        return self.call("GET", f"/queue/{kind}/{queue_id}/")

    def job(self, kind: str, job_id: str, queue_id: str = "acme") -> dict[str, Any]:
        """Return the state of a job."""
        return self.call("GET", f"/job/{kind}/{queue_id}/{job_id}/")

    def enqueue(self, kind: str, *job_ids: str, queue_id: str = "acme", **fields: object) -> None:
        """Queue jobs without a rate."""
        job = {"queue_type": kind, "queue_id": queue_id, "interval": 0, "payload": 1, **fields}
        answer = self.call("POST", "/enqueue/", {"jobs": [{**job, "job_id": job_id} for job_id in job_ids]})
        assert answer["failed"] == 0, answer

    def fail(self, kind: str, errors: dict[str, str], queue_id: str = "acme") -> None:
        """Make dead letters of one failed attempt each: job → error."""
        self.enqueue(kind, *errors, queue_id=queue_id, requeue_limit=0)
        for job in self.call("POST", f"/dequeue/{kind}/?count={len(errors)}")["jobs"]:
            body = {"lease": job["lease"], "error": errors[job["job_id"]]}
            self.call("POST", f"/release/{kind}/{queue_id}/{job['job_id']}/", body)
        assert self.queue(kind, queue_id)["dead"] == len(errors)


class Reader:
    """A tab with the console, as a person uses it. It notes what a browser complains about."""

    def __init__(self, browser: Browser, url: str, width: int = WIDE) -> None:
        self.url = url
        self.faults: list[str] = []
        context = browser.new_context(viewport={"width": width, "height": HEIGHT}, timezone_id="Asia/Kolkata")
        context.set_default_timeout(DEADLINE_S * 1000)
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self._note(message.type, message.text))

    def _note(self, kind: str, text: str) -> None:
        # A browser writes a line for each answer of 400 and above, and the flows provoke some.
        if kind in {"error", "warning"} and "Failed to load resource" not in text and "ApiError" not in text:
            self.faults.append(text)

    def open(self, place: str) -> Page:
        """Go to a view, such as `queue/sms/acme`."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/console/#/{place}")
        expect(self.page.locator("h1")).to_be_visible()
        return self.page

    def button(self, name: str) -> Locator:
        """Return a button of the page."""
        return self.page.get_by_role("button", name=name, exact=True)

    def confirm(self, action: str) -> str:
        """Agree to the dialog that asks once more, and return what it asked."""
        dialog = self.page.get_by_role("dialog")
        text = dialog.inner_text()
        dialog.get_by_role("button", name=action, exact=True).click()
        expect(dialog).to_have_count(0)
        return text

    def said(self, text: str) -> None:
        """Wait until the page says something."""
        expect(self.page.locator("#notices")).to_contain_text(text)

    def objection(self, label: str) -> Locator:
        """Return what is said beside a field."""
        field = self.page.get_by_label(label, exact=True)
        expect(field).to_have_attribute("aria-invalid", "true")
        return self.page.locator(f"[id='{(field.get_attribute('aria-describedby') or '').split()[-1]}']")


@pytest.fixture(scope="module")
def console_url() -> Iterator[str]:
    """The address of a server with an embedded store. Its console calls it by a name, as people do."""
    with running_server() as server:
        yield server.url.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or missing_tool("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def api(console_url: str) -> Api:
    return Api(console_url)


@pytest.fixture
def reader(browser: Browser, console_url: str) -> Iterator[Reader]:
    """A reader whose browser must not complain."""
    reader = Reader(browser, console_url)
    yield reader
    faults = reader.faults
    reader.page.context.close()
    assert faults == []


@pytest.fixture
def kind() -> str:
    """A queue type of this test alone."""
    return f"t-{uuid.uuid4().hex[:12]}"


def test_changed_settings_are_shown_asked_and_sent_alone(reader: Reader, api: Api, kind: str) -> None:
    api.call("POST", f"/queue/{kind}/acme/", {"rate": "5/s", "burst": 2, "weight": 3})
    page = reader.open(f"queue/{kind}/acme")
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Rate", exact=True).fill("40/s")
    page.get_by_label("Most leases at a time").fill("20")
    page.get_by_label("Wait after a failed attempt").fill("30 s")
    page.get_by_label("Jobs expire after").fill("1.5 h")
    reader.button("Review changes").click()
    asked = reader.confirm("Change")
    assert "Rate: 5/s → 40/s" in asked and "Most leases at a time: none → 20" in asked
    assert "Burst" not in asked
    reader.said("Rate: 5/s → 40/s")
    queue = api.queue(kind)
    assert (queue["rate"], queue["burst"], queue["weight"], queue["max_leased"]) == ("40/s", 2, 3, 20)
    assert queue["retry"]["delay"] == 30_000 and queue["expires"] == 5_400_000
    page.get_by_label("Wait after a failed attempt").fill("")
    page.get_by_label("Most leases at a time").fill("")
    reader.button("Review changes").click()
    reader.confirm("Change")
    expect(page.get_by_label("Longest wait")).to_have_value("")
    queue = api.queue(kind)
    assert queue["retry"] is None and queue["max_leased"] is None and queue["expires"] == 5_400_000


def test_what_the_server_objects_to_stands_beside_its_field(reader: Reader, api: Api, kind: str) -> None:
    api.call("POST", f"/queue/{kind}/acme/", {"rate": "5/s"})
    page = reader.open(f"queue/{kind}/acme")
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Burst", exact=True).fill("0")
    reader.button("Review changes").click()
    reader.confirm("Change")
    expect(reader.objection("Burst")).to_contain_text("expected")
    page.get_by_label("Burst", exact=True).fill("1")
    page.get_by_label("Rate", exact=True).fill("fast")
    reader.button("Review changes").click()
    reader.confirm("Change")
    expect(reader.objection("Rate")).to_contain_text("expected")
    expect(page.get_by_label("Burst", exact=True)).not_to_have_attribute("aria-invalid", "true")
    page.get_by_label("Rate", exact=True).fill("5/s")
    page.get_by_label("Jobs expire after").fill("soon")
    reader.button("Review changes").click()
    expect(reader.objection("Jobs expire after")).to_contain_text("such as 250 ms")
    assert api.queue(kind)["rate"] == "5/s"


def test_a_queue_is_paused_held_resumed_and_deleted(reader: Reader, api: Api, kind: str) -> None:
    api.enqueue(kind, "a", "b", "c")
    api.enqueue(kind, "d", delay=3_600_000)
    page = reader.open(f"queue/{kind}/acme")
    reader.button("Pause").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert api.queue(kind)["paused"] is False
    reader.button("Pause").click()
    assert "3 queued jobs" in reader.confirm("Pause")
    reader.said("acme is paused")
    assert api.queue(kind)["paused"] is True
    reader.button("Resume").click()
    reader.confirm("Resume")
    expect(reader.button("Pause")).to_be_visible()
    assert api.queue(kind)["paused"] is False
    page.get_by_label("Hold for").fill("2 d")
    reader.button("Hold").click()
    reader.confirm("Hold")
    expect(reader.objection("Hold for")).to_contain_text("expected")
    page.get_by_label("Hold for").fill("5 min")
    reader.button("Hold").click()
    reader.confirm("Hold")
    expect(page.get_by_text("Held until")).to_be_visible()
    held_until = api.queue(kind)["held_until"]
    assert 240_000 < held_until - time.time() * 1000 < 310_000
    reader.button("Delete the queue").click()
    asked = reader.confirm("Delete")
    assert "3 queued jobs and 1 delayed job are dropped" in asked
    reader.said("Successfully removed")
    assert (api.queue(kind).get("queued", 0), api.queue(kind).get("delayed", 0)) == (0, 0)


def test_a_job_is_found_read_changed_and_cancelled(reader: Reader, api: Api, kind: str) -> None:
    payload = {"text": "<img src=x onerror=alert(1)>", "n": HUGE, "lines": ["y" * 80] * 100}
    api.enqueue(kind, "order-1", "order-2", "news-1", payload=payload)
    page = reader.open(f"queue/{kind}/acme")
    page.get_by_label("Ids that begin with").fill("order-2")
    reader.button("Search").click()
    job = page.get_by_role("region", name="Job order-2")
    expect(job).to_be_visible()
    assert str(HUGE) not in job.inner_text()
    reader.button("Show the payload").click()
    shown = page.get_by_role("region", name="Payload")
    expect(shown).to_contain_text("<img src=x onerror=alert(1)>")
    expect(shown).to_contain_text(str(HUGE))
    assert shown.locator("img").count() == 0 and len(shown.inner_text()) < 5000
    reader.button("Show all").click()
    assert len(shown.inner_text()) > 8000
    job.get_by_label("Priority").fill("11")
    reader.button("Change the job").click()
    reader.confirm("Change")
    expect(reader.objection("Priority")).to_contain_text("expected")
    job.get_by_label("Priority").fill("1")
    job.get_by_label("Due from now in").fill("2 h")
    reader.button("Change the job").click()
    assert "Priority: 5 → 1" in reader.confirm("Change")
    reader.said("It is delayed, with priority 1")
    changed = api.job(kind, "order-2")
    assert (changed["state"], changed["priority"], changed["payload"]) == ("delayed", 1, payload)
    reader.button("Cancel the job").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel", exact=True).click()
    assert api.job(kind, "order-2")["state"] == "delayed"
    reader.button("Cancel the job").click()
    reader.confirm("Cancel the job")
    reader.said("order-2 is cancelled. It was delayed.")
    assert api.job(kind, "order-2")["state"] == "cancelled"


def test_jobs_are_cancelled_by_the_beginning_of_their_ids(reader: Reader, api: Api, kind: str) -> None:
    api.enqueue(kind, *(f"spring-{number}" for number in range(60)), "order-17")
    page = reader.open(f"queue/{kind}/acme")
    expect(page.get_by_role("row")).to_have_count(26)
    reader.button("Next page").click()
    expect(page.get_by_text("Page 2, 25 jobs")).to_be_visible()
    reader.button("Next page").click()
    expect(page.get_by_text("Page 3, 11 jobs; no more follow")).to_be_visible()
    page.get_by_label("Ids that begin with").fill("spring-")
    reader.button("Cancel all with this beginning").click()
    assert "61 waiting jobs" in reader.confirm("Cancel the jobs")
    reader.said("60 jobs of acme cancelled")
    assert api.queue(kind)["queued"] == 1 and api.job(kind, "order-17")["state"] == "queued"


def test_a_leased_job_is_cancelled_by_force(reader: Reader, api: Api, kind: str) -> None:
    api.enqueue(kind, "a")
    lease = api.call("POST", f"/dequeue/{kind}/")["lease"]
    page = reader.open(f"queue/{kind}/acme?state=leased")
    reader.button("a").click()
    reader.button("Cancel the job").click()
    assert "Its lease is lost" in reader.confirm("Cancel the job")
    reader.said("It was leased")
    assert api.job(kind, "a")["state"] == "cancelled"
    assert api.call("POST", f"/finish/{kind}/acme/a/", {"lease": lease})["code"] == "lease_lost"
    expect(page.get_by_text("No worker holds a job of this queue.")).to_be_visible()


def test_a_failed_job_shows_its_reason_and_is_retried_or_dropped(reader: Reader, api: Api, kind: str) -> None:
    api.fail(kind, {"a": "500 from https://acme.example\n<b>at line 3</b>", "b": "Timeout"})
    page = reader.open(f"queue/{kind}/acme?state=dead&job=a")
    job = page.get_by_role("region", name="Job a")
    expect(job).to_contain_text("It failed more often than its requeue limit allows")
    expect(page.get_by_role("region", name="Error")).to_contain_text("<b>at line 3</b>")
    reader.button("Retry").click()
    reader.confirm("Retry")
    reader.said("a is queued again")
    assert api.job(kind, "a")["state"] == "queued"
    reader.button("b").click()
    reader.button("Drop").click()
    reader.confirm("Drop")
    reader.said("b is dropped")
    assert api.job(kind, "b")["code"] == "not_found" and api.queue(kind)["dead"] == 0


def test_dead_letters_are_grouped_and_a_group_is_retried_or_dropped(
    reader: Reader, api: Api, kind: str
) -> None:
    late = {f"late-{number}": f"Timeout after {30_000 + number} ms" for number in range(7)}
    api.fail(kind, {**late, "x": "404 Not Found", "y": "503 Busy", "z": "503 Busy"})
    page = reader.open(f"dead/{kind}")
    expect(page.get_by_text("10 dead letters, all that there are.")).to_be_visible()
    row = page.get_by_role("row", name="Timeout after … ms")
    expect(row).to_contain_text("7")
    reader.button("Timeout after … ms").click()
    reader.button("Retry these 7").click()
    reader.confirm("Retry")
    reader.said("7 jobs of 7 queued again")
    queue = api.queue(kind)
    assert (queue["queued"], queue["dead"]) == (7, 3)
    expect(row).to_have_count(0)
    reader.button("503 Busy").click()
    reader.button("Drop these 2").click()
    assert "503 Busy" in reader.confirm("Drop")
    reader.said("2 dead letters dropped")
    assert api.queue(kind)["dead"] == 1 and api.job(kind, "x")["state"] == "dead"
    reader.button("Retry all").click()
    assert "1 dead letter is queued again" in reader.confirm("Retry all")
    reader.said("1 job of")
    assert api.queue(kind)["queued"] == 8
    expect(page.get_by_text("There are no dead letters.")).to_be_visible()


def test_what_was_not_read_of_the_dead_letters_is_said(reader: Reader, api: Api, kind: str) -> None:
    for part in range(3):
        api.enqueue(kind, *(f"{part}-{number}" for number in range(720)), expires=1)
    # A dequeue finds the expired jobs at the head of their queue.
    deadline = time.monotonic() + DEADLINE_S
    while api.queue(kind)["dead"] < 2160 and time.monotonic() < deadline:
        api.call("POST", f"/dequeue/{kind}/")
    page = reader.open(f"dead/{kind}")
    expect(page.get_by_text("2,000 of 2,160 dead letters read, not all")).to_be_visible()
    reader.button("Read on").click()
    expect(page.get_by_text("2,160 dead letters, all that there are.")).to_be_visible()
    reader.button("Drop all").click()
    assert "2,160 dead letters are dropped" in reader.confirm("Drop all")
    reader.said("2,160 dead letters")
    assert api.queue(kind).get("dead", 0) == 0


def test_a_window_is_defined_changed_and_dropped(reader: Reader, api: Api, kind: str) -> None:
    page = reader.open("windows")
    reader.button("Define a window").click()
    page.get_by_label("Name", exact=True).fill(kind)
    page.get_by_label("Zone", exact=True).fill("America/New_York")
    page.get_by_label("Open", exact=True).fill("mon-sat 08:00-20:00\nfri 25:00-03:00")
    reader.button("Define").click()
    reader.confirm("Define")
    expect(reader.objection("Open")).to_contain_text("open[1].from: expected")
    page.get_by_label("Open", exact=True).fill("mon-sat 08:00-20:00\nfri 22:00-03:00")
    page.get_by_label("Closed on these dates").fill("2099-12-25")
    reader.button("Define").click()
    reader.confirm("Define")
    reader.said(f"The window {kind} is defined")
    window = api.call("GET", f"/window/{kind}/")
    assert [entry["to"] for entry in window["open"]] == ["20:00", "03:00"] and window["except"] == [
        "2099-12-25"
    ]
    api.call("POST", f"/queue/{kind}/acme/", {"interval": 0, "window": kind})
    reader.button(kind).click()
    panel = page.get_by_role("region", name=kind)
    expect(panel).to_contain_text("1 queue or gathered type")
    page.get_by_label("Open", exact=True).fill("daily 00:00-24:00")
    reader.button("Review changes").click()
    reader.confirm("Change")
    reader.said(f"The window {kind} is changed")
    assert api.call("GET", f"/window/{kind}/")["is_open"] is True
    reader.button("Drop the window").click()
    reader.confirm("Drop")
    reader.said("nothing was dropped")
    api.call("POST", f"/queue/{kind}/acme/", {"window": None})
    reader.button("Drop the window").click()
    reader.confirm("Drop")
    reader.said(f"The window {kind} is dropped")
    assert api.call("GET", f"/window/{kind}/")["code"] == "not_found"


def test_a_schedule_is_defined_changed_paused_and_deleted(reader: Reader, api: Api, kind: str) -> None:
    page = reader.open(f"schedules/{kind}")
    reader.button("New schedule").click()
    page.get_by_label("Name", exact=True).fill(kind)
    page.get_by_label("Cron expression", exact=True).fill("0 25 * * *")
    page.get_by_label("Zone of the cron expression").fill("Asia/Kolkata")
    page.get_by_label("Queue of its jobs").fill("acme")
    page.get_by_label("Payload").fill(f'{{"n": {HUGE}, "share": 1.0}}')
    page.get_by_label("Other fields of its jobs").fill('{"interval": 0, "priority": 12}')
    reader.button("Define").click()
    reader.confirm("Define")
    expect(reader.objection("Cron expression")).to_contain_text("Bad hour")
    page.get_by_label("Cron expression", exact=True).fill("0 9 * * mon-fri")
    reader.button("Define").click()
    reader.confirm("Define")
    expect(reader.objection("Other fields of its jobs")).to_contain_text("job.priority: expected")
    page.get_by_label("Other fields of its jobs").fill('{"interval": 0, "priority": 2}')
    reader.button("Define").click()
    reader.confirm("Define")
    reader.said("It fires next at")
    address = f"/schedule/{kind}/"
    schedule = api.call("GET", address)
    assert (schedule["cron"], schedule["tz"], schedule["job"]["priority"]) == (
        "0 9 * * mon-fri",
        "Asia/Kolkata",
        2,
    )
    page.get_by_label("Zone of the cron expression").fill("UTC")
    reader.button("Review changes").click()
    reader.confirm("Change")
    reader.said(f"The schedule {kind} is changed")
    with urllib.request.urlopen(reader.url + address) as answer:
        text = answer.read().decode()
    assert (
        '"tz":"UTC"' in text
        and f'"n":{HUGE}' in text.replace(" ", "")
        and '"share":1.0' in text.replace(" ", "")
    )
    reader.button("Pause").click()
    reader.confirm("Pause")
    reader.said(f"{kind} is paused")
    assert api.call("GET", address)["paused"] is True
    reader.button("Resume").click()
    reader.confirm("Resume")
    reader.said(f"{kind} is resumed")
    assert api.call("GET", address)["paused"] is False
    reader.button("Delete").click()
    reader.confirm("Delete")
    reader.said(f"{kind} is deleted")
    assert api.call("GET", address)["code"] == "not_found"


def test_the_ring_shows_what_the_cluster_says(reader: Reader, api: Api) -> None:
    cluster = api.call("GET", "/cluster/")
    page = reader.open("ring")
    expect(
        page.get_by_text(f"Version {cluster['version']}: {cluster['partitions']} partitions")
    ).to_be_visible()
    for member in cluster["members"]:
        row = page.get_by_role("row", name=member["node"])
        expect(row).to_contain_text(str(member["partitions"]))
        expect(row).to_contain_text(member["store"]["mode"])


def test_ids_with_slashes_and_colons_are_changed_as_they_are(reader: Reader, api: Api, kind: str) -> None:
    queue_id, job_id = "eu/acme:42", "2026/11/29"
    api.enqueue(kind, job_id, queue_id=queue_id)
    page = reader.open(f"queue/{kind}/{quote(queue_id, safe='')}?job={quote(job_id, safe='')}")
    expect(page.get_by_role("heading", name=queue_id, exact=True)).to_be_visible()
    reader.button("Cancel the job").click()
    reader.confirm("Cancel the job")
    reader.said(f"{job_id} is cancelled")
    assert api.job(kind, quote(job_id, safe=""), quote(queue_id, safe=""))["state"] == "cancelled"
