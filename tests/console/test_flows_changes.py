"""Changes made through the console's page: each is asked once more, and judged by the API afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.console.conftest import OpenPage
from tests.console.reader import Api, Reader
from tests.console.site import NARROW, Site, expect

DEADLINE_S = 20.0
HUGE = 12345678901234567890


@pytest.fixture
def api(site: Site, kind: str) -> Api:
    return Api(site, kind)


@pytest.fixture
def reader(open_page: OpenPage) -> Iterator[Reader]:
    reader = Reader(open_page())
    yield reader
    reader.forgive()


def test_changed_settings_are_shown_asked_and_sent_alone(reader: Reader, api: Api, kind: str) -> None:
    api.call("POST", f"/queue/{kind}/acme/", {"rate": "5/s", "burst": 2, "weight": 3})
    page = reader.open(f"queue/{kind}/acme")
    page.get_by_text("Settings", exact=True).click()
    reader.field("Rate").fill("40/s")
    reader.field("Most leases at a time").fill("20")
    reader.field("Wait after a failed attempt").fill("30 s")
    reader.field("Jobs expire after").fill("1.5 h")
    reader.button("Review changes").click()
    asked = reader.confirm("Change")
    assert "Rate: 5/s → 40/s" in asked and "Most leases at a time: none → 20" in asked
    assert "Burst" not in asked
    reader.said("Rate: 5/s → 40/s")
    queue = api.queue()
    assert (queue["rate"], queue["burst"], queue["weight"], queue["max_leased"]) == ("40/s", 2, 3, 20)
    assert queue["retry"]["delay"] == 30_000 and queue["expires"] == 5_400_000
    reader.field("Wait after a failed attempt").fill("")
    reader.field("Most leases at a time").fill("")
    reader.button("Review changes").click()
    reader.confirm("Change")
    expect(reader.field("Longest wait")).to_have_value("")
    queue = api.queue()
    assert queue["retry"] is None and queue["max_leased"] is None and queue["expires"] == 5_400_000


def test_what_the_server_objects_to_stands_beside_its_field(reader: Reader, api: Api, kind: str) -> None:
    api.call("POST", f"/queue/{kind}/acme/", {"rate": "5/s"})
    page = reader.open(f"queue/{kind}/acme")
    page.get_by_text("Settings", exact=True).click()
    reader.field("Burst").fill("0")
    reader.button("Review changes").click()
    reader.confirm("Change")
    expect(reader.objection("Burst")).to_contain_text("expected")
    reader.field("Burst").fill("1")
    reader.field("Rate").fill("fast")
    reader.button("Review changes").click()
    reader.confirm("Change")
    expect(reader.objection("Rate")).to_contain_text("expected")
    expect(reader.field("Burst")).not_to_have_attribute("aria-invalid", "true")
    reader.field("Rate").fill("5/s")
    reader.field("Jobs expire after").fill("soon")
    reader.button("Review changes").click()
    expect(reader.objection("Jobs expire after")).to_contain_text("such as 250 ms")
    assert api.queue()["rate"] == "5/s"


def test_a_queue_is_paused_held_resumed_and_deleted(reader: Reader, api: Api, kind: str) -> None:
    api.enqueue("a", "b", "c")
    api.enqueue("d", delay=3_600_000)
    page = reader.open(f"queue/{kind}/acme")
    reader.button("Pause").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert api.queue()["paused"] is False
    reader.button("Pause").click()
    assert "3 queued jobs" in reader.confirm("Pause")
    reader.said("acme is paused")
    assert api.queue()["paused"] is True
    reader.button("Resume").click()
    reader.confirm("Resume")
    expect(reader.button("Pause")).to_be_visible()
    assert api.queue()["paused"] is False
    reader.field("Hold for").fill("2 d")
    reader.button("Hold").click()
    reader.confirm("Hold")
    expect(reader.objection("Hold for")).to_contain_text("expected")
    reader.field("Hold for").fill("5 min")
    reader.button("Hold").click()
    reader.confirm("Hold")
    expect(page.get_by_text("Held until")).to_be_visible()
    held_until = api.queue()["held_until"]
    assert 240_000 < held_until - time.time() * 1000 < 310_000
    reader.button("Delete the queue").click()
    asked = reader.confirm("Delete")
    assert "3 queued jobs and 1 delayed job are dropped" in asked
    reader.said("Successfully removed")
    assert (api.queue().get("queued", 0), api.queue().get("delayed", 0)) == (0, 0)


def test_a_job_is_found_read_changed_and_cancelled(reader: Reader, api: Api, kind: str) -> None:
    payload = {"text": "<img src=x onerror=alert(1)>", "n": HUGE, "lines": ["y" * 80] * 100}
    api.enqueue("order-1", "order-2", "news-1", payload=payload)
    page = reader.open(f"queue/{kind}/acme")
    reader.field("Ids that begin with").fill("order-2")
    reader.button("Search").click()
    job = page.get_by_role("region", name="Job order-2")
    expect(job).to_be_visible()
    assert str(HUGE) not in job.inner_text()
    reader.button("Show the payload").click()
    shown = page.get_by_role("group", name="Payload")
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
    changed = api.job("order-2")
    assert (changed["state"], changed["priority"], changed["payload"]) == ("delayed", 1, payload)
    reader.button("Cancel the job").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel", exact=True).click()
    assert api.job("order-2")["state"] == "delayed"
    reader.button("Cancel the job").click()
    reader.confirm("Cancel the job")
    reader.said("order-2 is cancelled. It was delayed.")
    assert api.job("order-2")["state"] == "cancelled"


def test_jobs_are_cancelled_by_the_beginning_of_their_ids(reader: Reader, api: Api, kind: str) -> None:
    api.enqueue(*(f"spring-{number}" for number in range(60)), "order-17")
    page = reader.open(f"queue/{kind}/acme")
    expect(page.get_by_role("row")).to_have_count(26)
    reader.button("Next page").click()
    expect(page.get_by_text("Page 2, 25 jobs")).to_be_visible()
    reader.button("Next page").click()
    expect(page.get_by_text("Page 3, 11 jobs; no more follow")).to_be_visible()
    reader.field("Ids that begin with").fill("spring-")
    reader.button("Cancel waiting jobs with this beginning").click()
    assert "61 waiting jobs" in reader.confirm("Cancel the jobs")
    reader.said("60 jobs of acme cancelled")
    assert api.queue()["queued"] == 1 and api.job("order-17")["state"] == "queued"


def test_a_leased_job_is_cancelled_by_force(reader: Reader, api: Api, kind: str) -> None:
    api.enqueue("a")
    lease = api.call("POST", f"/dequeue/{kind}/")["lease"]
    page = reader.open(f"queue/{kind}/acme?state=leased")
    reader.button("a").click()
    reader.button("Cancel the job").click()
    assert "Its lease is lost" in reader.confirm("Cancel the job")
    reader.said("It was leased")
    assert api.job("a")["state"] == "cancelled"
    assert api.call("POST", f"/finish/{kind}/acme/a/", {"lease": lease})["code"] == "lease_lost"
    expect(page.get_by_text("No worker holds a job of this queue.")).to_be_visible()


def test_a_failed_job_shows_its_reason_and_is_retried_or_dropped(reader: Reader, api: Api, kind: str) -> None:
    api.fail({"a": "500 from https://acme.example\n<b>at line 3</b>", "b": "Timeout"})
    page = reader.open(f"queue/{kind}/acme?state=dead&job=a")
    job = page.get_by_role("region", name="Job a")
    expect(job).to_contain_text("It failed more often than its requeue limit allows")
    expect(page.get_by_role("group", name="Error")).to_contain_text("<b>at line 3</b>")
    reader.button("Retry").click()
    reader.confirm("Retry")
    reader.said("a is queued again")
    assert api.job("a")["state"] == "queued"
    reader.button("b").click()
    reader.button("Drop").click()
    reader.confirm("Drop")
    reader.said("b is dropped")
    assert api.job("b")["code"] == "not_found" and api.queue()["dead"] == 0


def test_dead_letters_are_grouped_and_a_group_is_retried_or_dropped(
    reader: Reader, api: Api, kind: str
) -> None:
    late = {f"late-{number}": f"Timeout after {30_000 + number} ms" for number in range(7)}
    api.fail({**late, "x": "404 Not Found", "y": "503 Busy", "z": "503 Busy"})
    page = reader.open(f"dead/{kind}")
    expect(page.get_by_text("10 dead letters, all that there are.")).to_be_visible()
    row = page.get_by_role("row", name="Timeout after … ms")
    expect(row).to_contain_text("7")
    reader.button("Timeout after … ms").click()
    reader.button("Retry these 7").click()
    reader.confirm("Retry")
    reader.said("7 jobs of 7 queued again")
    queue = api.queue()
    assert (queue["queued"], queue["dead"]) == (7, 3)
    expect(row).to_have_count(0)
    reader.button("503 Busy").click()
    reader.button("Drop these 2").click()
    assert "503 Busy" in reader.confirm("Drop")
    reader.said("2 dead letters dropped")
    assert api.queue()["dead"] == 1 and api.job("x")["state"] == "dead"
    reader.button("Retry all").click()
    assert "1 dead letter is queued again" in reader.confirm("Retry all")
    reader.said("1 job of")
    assert api.queue()["queued"] == 8
    expect(page.get_by_text("There are no dead letters.")).to_be_visible()


def test_a_dead_letter_whose_id_is_live_again_is_not_shown_as_the_live_job(
    reader: Reader, api: Api, kind: str
) -> None:
    api.fail({"x": "404 Not Found"})
    api.enqueue("x")
    page = reader.open(f"dead/{kind}")
    reader.button("404 Not Found").click()
    page.get_by_role("table", name="Dead letters of the group").get_by_role("button", name="x").click()
    expect(page.get_by_text("A newer job has the same id and is queued")).to_be_visible()
    expect(reader.button("Cancel the job")).to_have_count(0)
    reader.button("Drop the dead letter").click()
    reader.confirm("Drop")
    reader.said("x is dropped")
    queue = api.queue()
    assert (queue["queued"], queue["dead"]) == (1, 0)


def test_what_was_not_read_of_the_dead_letters_is_said(reader: Reader, api: Api, kind: str) -> None:
    for part in range(3):
        api.enqueue(*(f"{part}-{number}" for number in range(720)), expires=1)
    # A dequeue finds the expired jobs at the head of their queue.
    deadline = time.monotonic() + DEADLINE_S
    while api.queue()["dead"] < 2160 and time.monotonic() < deadline:
        api.call("POST", f"/dequeue/{kind}/")
    page = reader.open(f"dead/{kind}")
    expect(page.get_by_text("2,000 of 2,160 dead letters read, not all")).to_be_visible()
    reader.button("Read on").click()
    expect(page.get_by_text("2,160 dead letters, all that there are.")).to_be_visible()
    reader.button("Drop all").click()
    assert "2,160 dead letters are dropped" in reader.confirm("Drop all")
    reader.said("2,160 dead letters")
    assert api.queue().get("dead", 0) == 0


def test_a_window_is_defined_changed_and_dropped(reader: Reader, api: Api, kind: str) -> None:
    page = reader.open("windows")
    reader.button("Define a window").click()
    reader.field("Name").fill(kind)
    reader.field("Zone").fill("America/New_York")
    reader.field("Open").fill("mon-sat 08:00-20:00\nfri 25:00-03:00")
    reader.button("Define").click()
    reader.confirm("Define")
    expect(reader.objection("Open")).to_contain_text("open[1].from: expected")
    reader.field("Open").fill("mon-sat 08:00-20:00\nfri 22:00-03:00")
    reader.field("Closed on these dates").fill("2099-12-25")
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
    reader.field("Open").fill("daily 00:00-24:00")
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
    reader.open(f"schedules/{kind}")
    reader.button("New schedule").click()
    reader.field("Name").fill(kind)
    reader.field("Cron expression").fill("0 25 * * *")
    reader.field("Zone of the cron expression").fill("Asia/Kolkata")
    reader.field("Queue of its jobs").fill("acme")
    reader.field("Payload").fill(f'{{"n": {HUGE}, "share": 1.0}}')
    reader.field("Other fields of its jobs").fill('{"interval": 0, "priority": 12}')
    reader.button("Define").click()
    reader.confirm("Define")
    expect(reader.objection("Cron expression")).to_contain_text("the hour is wrong")
    reader.field("Cron expression").fill("0 9 * * mon-fri")
    reader.button("Define").click()
    reader.confirm("Define")
    expect(reader.objection("Other fields of its jobs")).to_contain_text("job.priority: expected")
    reader.field("Other fields of its jobs").fill('{"interval": 0, "priority": 2}')
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
    # The form is drawn anew with what the server has now.
    expect(reader.button("Review changes")).to_be_visible()
    reader.field("Zone of the cron expression").fill("UTC")
    reader.button("Review changes").click()
    reader.confirm("Change")
    reader.said(f"The schedule {kind} is changed")
    state = api.call("GET", address)
    # Python keeps the digits and the kind of a number, as the store does.
    assert (state["tz"], state["job"]["payload"]["n"]) == ("UTC", HUGE)
    assert isinstance(state["job"]["payload"]["share"], float)
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
    api.enqueue(job_id, queue_id=queue_id)
    page = reader.open(f"queue/{kind}/{quote(queue_id, safe='')}?job={quote(job_id, safe='')}")
    expect(page.get_by_role("heading", name=queue_id, exact=True)).to_be_visible()
    reader.button("Cancel the job").click()
    reader.confirm("Cancel the job")
    reader.said(f"{job_id} is cancelled")
    assert api.job(quote(job_id, safe=""), quote(queue_id, safe=""))["state"] == "cancelled"


def test_a_queue_is_paused_and_resumed_by_keyboard_alone(open_page: OpenPage, api: Api, kind: str) -> None:
    api.enqueue("a")
    watched = open_page("dark", NARROW)
    reader = Reader(watched)
    page = reader.open(f"queue/{kind}/acme")
    reader.button("Pause").focus()
    for word, opposite in (("paused", "Resume"), ("resumed", "Pause")):
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        # The first stop of the dialog leaves all as it is, the next one does it.
        page.get_by_role("dialog").get_by_role("button", name="Cancel").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        reader.said(f"acme is {word}")
        assert api.queue()["paused"] is (word == "paused")
        expect(reader.button(opposite)).to_be_focused()
    assert watched.overflow() <= 0


def test_what_a_token_may_not_do_is_disabled_with_the_reason(reader: Reader, api: Api, kind: str) -> None:
    api.enqueue("a")
    page = reader.open(f"queue/{kind}/acme", "reader")
    reason = "The token reader lacks the permission operate."
    for name in ("Pause", "Delete the queue", "Hold"):
        expect(reader.button(name)).to_have_attribute("aria-disabled", "true")
        expect(reader.button(name)).to_have_accessible_description(reason)
    reader.button("Pause").click(force=True)
    reader.said("lacks the permission operate")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert api.queue()["paused"] is False


def test_a_token_of_some_types_may_not_define_windows(reader: Reader) -> None:
    reader.open("windows", "clerk")
    reason = "The token clerk covers some types only, and this holds for all of them."
    expect(reader.button("Define a window")).to_have_accessible_description(reason)
