"""The views in which things are changed: accessible, and no wider than the screen, also with all that opens in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.console.conftest import OpenPage
from tests.console.site import NARROW, WIDE, Site, axe, expect
from tests.support.extent import is_full

if TYPE_CHECKING:
    from playwright.sync_api import Page

KIND = "sms-of-a-carrier-with-a-long-name"
CUSTOMER = "a-customer-with-a-long-name@example.com"
ERROR = "a rather long error of which nobody knows what it means " * 5


def open_queue(page: Page) -> None:
    """Open the settings with an objection, and a job with its payload."""
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Burst", exact=True).fill("0")
    page.get_by_role("button", name="Review changes").click()
    page.get_by_role("dialog").get_by_role("button", name="Change", exact=True).click()
    expect(page.get_by_label("Burst", exact=True)).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="a-job-with-a-long-name-1").click()
    page.get_by_role("button", name="Show the payload").click()


def open_dead(page: Page) -> None:
    """Open a group and one of its jobs."""
    page.get_by_role("button", name=re.compile("^a rather long error")).click()
    page.get_by_role("button", name="buried", exact=True).click()
    page.get_by_role("button", name="Show the payload").click()


def open_window(page: Page) -> None:
    """Open a window."""
    page.get_by_role("button", name="days-of-a-zone-with-a-long-name").click()
    page.get_by_role("button", name="Drop the window").wait_for()


def open_schedule(page: Page) -> None:
    """Open a schedule."""
    page.get_by_role("button", name="report-with-a-long-name").click()
    page.get_by_role("button", name="Delete", exact=True).wait_for()


def open_nothing(page: Page) -> None:
    """Wait for the members."""
    expect(page.get_by_role("rowheader")).to_have_count(2)


VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "queue": (f"queue/{KIND}/{CUSTOMER}", open_queue),
    "dead": (f"dead/{KIND}", open_dead),
    "windows": ("windows", open_window),
    "schedules": (f"schedules/{KIND}", open_schedule),
    "ring": ("ring", open_nothing),
}


SCREENS = [("light", WIDE), ("dark", NARROW)]

CASES = [
    (view, scheme, width)
    for number, view in enumerate(VIEWS)
    for scheme, width in (SCREENS if is_full() else [SCREENS[number % 2]])
]
"""Each view on each screen; in a quick run on one of them."""


@pytest.fixture(scope="module")
def filled(site: Site) -> Site:
    """The site with something in each view."""
    ranges = [
        {"days": "mon-sat", "from": "08:00", "to": "20:00"},
        {"days": "fri", "from": "22:00", "to": "03:00"},
    ]
    window = {"tz": "America/Argentina/Buenos_Aires", "open": ranges, "except": ["2099-12-25"]}
    site.call("PUT", "/window/days-of-a-zone-with-a-long-name/", window)
    job = {"queue_type": KIND, "queue_id": CUSTOMER, "interval": 0, "payload": {"of": "yesterday"}}
    schedule = {"cron": "0 9 * * mon-fri", "tz": "America/Argentina/Buenos_Aires", "job": job}
    site.call("PUT", "/schedule/report-with-a-long-name/", schedule)
    jobs = [{**job, "job_id": "buried", "requeue_limit": 0, "payload": "p" * 6000}]
    site.call("POST", "/enqueue/", {"jobs": jobs})
    leased = site.call("POST", f"/dequeue/{KIND}/")
    body = {"lease": leased["lease"], "error": ERROR}
    site.call("POST", f"/release/{KIND}/{CUSTOMER}/buried/", body)
    names = [f"a-job-with-a-long-name-{number}" for number in (1, 2, 3)]
    jobs = [{**job, "job_id": name, "payload": {"text": "w" * 300, "numbers": [1, 2]}} for name in names]
    assert site.call("POST", "/enqueue/", {"jobs": jobs})["failed"] == 0
    return site


@pytest.mark.parametrize(("view", "scheme", "width"), CASES)
def test_views_are_accessible_and_as_wide_as_the_screen(
    filled: Site, open_page: OpenPage, view: str, scheme: str, width: int
) -> None:
    place, open_all = VIEWS[view]
    watched = open_page("dark" if scheme == "dark" else "light", width)
    page = watched.open(f"#/{place}")
    open_all(page)
    assert watched.overflow() <= 0
    found = axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    watched.faults = [fault for fault in watched.faults if "Failed to load" not in fault]


def test_dialogs_are_accessible(filled: Site, open_page: OpenPage) -> None:
    page = open_page("dark", NARROW).open(f"#/queue/{KIND}/{CUSTOMER}")
    page.get_by_role("button", name="Delete the queue").click()
    expect(page.get_by_role("dialog")).to_contain_text("3 queued jobs")
    found = axe().run(page)
    assert found.violations_count == 0, found.generate_report()


ODD_ID = "a-b_c.d+e@f:g/" + "h" * 86
RIGHT_TO_LEFT = "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd <b onclick=alert(1)>&amp;\u0000\u200f"

ODD_PAYLOADS = {
    "empty-text": "",
    "empty-list": [],
    "empty-object": {},
    "nothing": None,
    "right-to-left": RIGHT_TO_LEFT,
    "prototype": {"__proto__": {"x": 1}, "constructor": 1, "toString": "t", "": ""},
    "deep": json.loads("[" * 400 + "]" * 400),
    "long-word": "w" * 250_000,
    "many-numbers": list(range(35_000)),
    "many-lines": "\n" * 100_000,
}


def test_no_id_error_or_payload_breaks_a_view(site: Site, open_page: OpenPage) -> None:
    kind = "sms-odd"
    for job_id, payload in ODD_PAYLOADS.items():
        job = {
            "queue_type": kind,
            "queue_id": ODD_ID,
            "job_id": job_id,
            "interval": 60_000,
            "payload": payload,
        }
        answer = site.call("POST", "/enqueue/", {"jobs": [job]})
        assert answer["failed"] == 0, answer
    site.bury("sms-odd-dead", "acme", RIGHT_TO_LEFT + "e" * 1000)
    watched = open_page(width=NARROW)
    page = watched.open(f"#/queue/{kind}/{ODD_ID.replace('/', '%2F')}")
    for job_id, payload in ODD_PAYLOADS.items():
        page.get_by_role("row").filter(has_text=job_id).get_by_role("button").first.click()
        page.get_by_role("button", name="Show the payload").click()
        shown = page.get_by_role("group", name="Payload")
        expect(shown).to_be_visible()
        assert watched.overflow() == 0, job_id
        if page.get_by_role("button", name="Show all").is_visible():
            page.get_by_role("button", name="Show all").click()
            assert watched.overflow() == 0, job_id
        assert json.loads(shown.text_content() or "") == payload, job_id
    page.goto(f"{site.url}/console/#/dead/sms-odd-dead")
    expect(page.get_by_role("row").filter(has_text="onclick=alert(1)")).to_be_visible()
    assert page.locator("b[onclick]").count() == 0
    assert watched.overflow() == 0


ODD_ADDRESSES = (
    "type/%",
    "type/%00",
    "type/%F0%9F%92%A9",
    "type/<b>",
    "queue/a/b/c",
    "queue/a",
    "queue//",
    "__proto__",
    "type/..",
    "dead/a?queue_id=%22%3E",
    "nowhere?view=x",
    "type/" + "x" * 300,
)


def test_no_address_breaks_the_page(site: Site, open_page: OpenPage) -> None:
    watched = open_page()
    page = watched.open(f"#/{ODD_ADDRESSES[0]}")
    for place in ODD_ADDRESSES:
        page.goto("about:blank")  # so that the console is loaded again, instead of another view of it
        page.goto(f"{site.url}/console/#/{place}")
        expect(page.locator("h1").first).not_to_be_empty()
        watched.forgive(400, 404)
        watched.faults = [fault for fault in watched.faults if "ApiError" not in fault]
        assert watched.faults == [], place


def test_whatever_is_typed_into_a_search_is_answered_in_words(site: Site, open_page: OpenPage) -> None:
    site.enqueue("sms-typed", "acme", 2)
    watched = open_page()
    page = watched.open("#/queue/sms-typed/acme")
    for text in ("%", "<b>", '"', "\\", RIGHT_TO_LEFT.replace("\0", ""), "x" * 300, "💩"):
        page.get_by_label("Ids that begin with", exact=True).fill(text)
        with page.expect_response("**/jobs/**") as answered:
            page.get_by_role("button", name="Search", exact=True).click()
        assert answered.value.status == 400
        expect(page.locator("#notices")).to_contain_text("prefix: expected a string of up to 100 characters")
        assert page.locator("#notices .notice").count() == 1, "the same failure is said once"
        assert watched.overflow() == 0, text
    watched.forgive(400)
    watched.faults = [fault for fault in watched.faults if "ApiError" not in fault]
    assert watched.faults == []
