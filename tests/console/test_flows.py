"""The way of a person through the console, from the token to the change; each change is judged by the API."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from router.access.token_file import new_token
from tests.console.conftest import OpenPage
from tests.console.reader import Reader
from tests.console.site import NARROW, WIDE, Site, Watched, axe, events, expect, numbers, until
from tests.support.extent import is_full
from tests.support.processes.servers import PATIENT, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

DEADLINE_S = 30.0
PLACES = ("overview", "types", "type", "customers", "queue", "dead", "windows", "caps", "schedules", "ring")
FOCUS_IS_SHOWN = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" || style.boxShadow !== "none";
}"""
LOOKS = (
    [(PLACES, scheme, width) for scheme in ("dark", "light") for width in (NARROW, WIDE)]
    if is_full()
    else [(PLACES[::2], "dark", NARROW), (PLACES[1::2], "light", WIDE)]
)
"""The views, and how they are looked at; in a quick run each of them in one way."""

RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}}


def address(place: str, kind: str, queue_id: str = "acme") -> str:
    """Return the address of a view behind the page."""
    path = {
        "type": f"type/{kind}",
        "customers": f"customers/{kind}",
        "queue": f"queue/{kind}/{queue_id}",
        "dead": f"dead/{kind}",
        "schedules": f"schedules/{kind}",
    }
    return f"#/{path.get(place, place)}"


def button(page: Page, name: str) -> Locator:
    """Return a button of the page, or of the dialog that is open."""
    return page.get_by_role("button", name=name, exact=True)


def agree(page: Page, action: str) -> str:
    """Agree to the dialog that asks once more; return what it asked."""
    dialog = page.get_by_role("dialog")
    asked = dialog.inner_text()
    dialog.get_by_role("button", name=action, exact=True).click()
    expect(dialog).to_have_count(0)
    return asked


def test_a_wrong_token_is_refused_and_a_right_one_stays_in_the_tab(site: Site, open_page: OpenPage) -> None:
    watched = open_page()
    page = watched.page
    page.goto(f"{site.url}/console/")
    page.locator("#signin-token").fill("sharq_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("unknown")
    page.locator("#signin-token").fill(site.tokens["worker"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text(
        "The token worker lacks the permission read. The console needs it."
    )
    page.locator("#signin-token").fill(site.tokens["reader"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("#caller")).to_contain_text("reader")
    page.reload()
    expect(page.locator("#caller")).to_contain_text("reader")
    other = page.context.new_page()
    other.goto(f"{site.url}/console/")
    expect(other.locator("#signin-token")).to_be_visible()
    page.get_by_text("Sign out").click()
    expect(page.locator("#signin-token")).to_be_visible()
    stored = page.evaluate("JSON.stringify({...sessionStorage, ...localStorage}) + document.cookie")
    assert site.tokens["reader"] not in stored
    watched.forgive(401)


def test_a_token_that_may_not_read_any_more_gets_the_form_for_another_one(
    open_page: OpenPage, tmp_path: Path
) -> None:
    (secret, line), (_, other) = new_token("ops"), new_token("other")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{line}\n{other}\n")
    with running_server(environ={"SHARQ_AUTH_TOKENS_FILE": str(tokens), **PATIENT}) as server:
        watched = open_page()
        page = watched.page
        page.goto(f"{server.url}/console/")
        page.locator("#signin-token").fill(secret)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        tokens.write_text(f"{line} ops=produce\n{other}\n")
        expect(page.locator("#signin-token")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_text(
            "The token ops lacks the permission read. The console needs it."
        )
        watched.faults.clear()  # it is the page of another server than the one that is watched


def test_a_job_opens_above_the_list_on_a_narrow_screen(site: Site, open_page: OpenPage, kind: str) -> None:
    site.enqueue(kind, "acme")
    page = open_page(width=NARROW).open(address("queue", kind))
    table = page.get_by_role("table", name="Jobs of the queue")
    table.get_by_role("button").first.click()
    panel = page.get_by_role("heading", level=2, name=re.compile("^Job "))
    expect(panel).to_be_in_viewport()
    above, below = panel.bounding_box(), table.bounding_box()
    assert above is not None and below is not None
    assert above["y"] < below["y"]


def test_a_customer_is_found_and_the_rate_is_changed(site: Site, open_page: OpenPage, kind: str) -> None:
    for number in range(40):
        site.enqueue(kind, f"customer-{number}", 2)
    site.enqueue(kind, "globex/eu", 5)
    page = open_page().open(f"#/customers/{kind}")
    page.get_by_label("Search").fill("lobe")
    row = page.get_by_role("link", name="globex/eu").first
    expect(row).to_be_visible()
    expect(page.get_by_role("link", name="customer-7")).to_have_count(0)
    row.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("globex/eu")
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Rate", exact=True).fill("40/s")
    button(page, "Review changes").click()
    assert "40/s" in agree(page, "Change")
    expect(page.locator("#notices")).to_contain_text("40/s")
    assert site.get(f"/queue/{kind}/globex%2Feu/")["rate"] == "40/s"


def test_a_cap_is_defined_seen_in_use_and_deleted(site: Site, open_page: OpenPage, kind: str) -> None:
    name = f"cap-of-{kind}"
    reader = Reader(open_page())
    page = reader.open("caps")
    reader.button("Define a cap").click()
    reader.field("Name").fill(name)
    reader.field("Limits").fill("20/s burst 2")
    reader.button("Define").click()
    reader.confirm("Define")
    reader.said(f"The cap {name} is defined.")
    job = {"queue_type": kind, "queue_id": "acme", "interval": 0, "caps": [name], "payload": 1}
    site.call("POST", "/enqueue/", {"jobs": [{**job, "job_id": f"j{number}"} for number in range(1000)]})
    row = page.get_by_role("region", name="All caps").get_by_role("row", name=re.compile(name))
    deadline = time.monotonic() + DEADLINE_S
    while re.search(r"[1-9]\S*/s \([1-9]\d* %\)", text := row.inner_text()) is None:
        assert time.monotonic() < deadline, text
        site.call("POST", f"/dequeue/{kind}/?count=10")
        page.wait_for_timeout(100)
    reader.button("Delete the cap").click()
    assert "1 queue has it" in reader.confirm("Delete")
    reader.said(f"The cap {name} is deleted.")
    assert site.call("GET", f"/cap/{name}/")["code"] == "not_found"
    reader.forgive()


def test_the_reason_of_a_failed_job_is_seen_and_the_job_retried(
    site: Site, open_page: OpenPage, kind: str
) -> None:
    site.bury(kind, "acme", "the carrier said 550 <b>no such</b> number")
    with site.stream() as answer:
        until(events(answer), lambda one: numbers(one, kind).get("dead"))
    page = open_page().open()
    expect(page.get_by_text("the carrier said 550").first).to_be_visible()
    page.goto(f"{site.url}/console/{address('queue', kind)}")
    button(page, "Dead letters 1").click()
    expect(page.get_by_text("<b>no such</b> number").first).to_be_visible()
    page.goto(f"{site.url}/console/{address('dead', kind)}")
    expect(page.get_by_text("<b>no such</b> number").first).to_be_visible()
    page.get_by_role("button", name=re.compile("^Retry")).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name=re.compile("^Retry")).click()
    expect(dialog).to_have_count(0)
    expect(page.locator("#notices")).to_contain_text(re.compile("retried|queued", re.I))
    assert site.get(f"/job/{kind}/acme/1/")["state"] == "queued"
    assert site.get(f"/dead/{kind}/")["jobs"] == []


def test_a_queue_is_paused_by_the_keyboard_alone(site: Site, open_page: OpenPage, kind: str) -> None:
    site.enqueue(kind, "acme", 3)
    page = open_page().open(f"#/customers/{kind}")
    expect(page.get_by_role("link", name="acme").first).to_be_visible()
    reach(page, "acme")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("acme")
    reach(page, "Pause")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    reach(page, "Pause")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#notices")).to_contain_text(re.compile("paused", re.I))
    assert site.get(f"/queue/{kind}/acme/")["paused"] is True
    assert page.evaluate("document.activeElement !== document.body"), "the focus stays where it was"


def reach(page: Page, name: str) -> None:
    """Press Tab until the element with a text has the focus, and see that the focus is visible."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            assert page.evaluate(FOCUS_IS_SHOWN), f"{name}: the focus is not visible"
            return
    raise AssertionError(f"{name} cannot be reached by the keyboard")


def test_a_token_that_may_only_read_changes_nothing(site: Site, open_page: OpenPage, kind: str) -> None:
    site.enqueue(kind, "acme")
    page = open_page().open(address("queue", kind), "reader")
    pause = button(page, "Pause")
    expect(pause).to_be_visible()
    assert pause.is_disabled() or pause.get_attribute("aria-disabled") == "true"
    expect(page.get_by_text("operate").first).to_be_visible()


@pytest.fixture
def busy(site: Site, kind: str) -> str:
    """A type with something in each view."""
    kind = f"{kind}~x"
    site.call("POST", f"/type/{kind}/", {"limits": [{"rate": "5/s"}], "max_leased": 3})
    site.bury(kind, "acme", "the carrier is away")
    site.enqueue(kind, "acme", 4, requeue_limit=3)
    site.enqueue(kind, "a-customer-with-a-rather-long-name/in-a-folder:of-its-own@example.com", 2)
    site.call("POST", f"/dequeue/{kind}/")
    site.call("PUT", "/window/office-hours/", {"tz": "Europe/Berlin", "open": ["Mon-Fri 09:00-17:00"]})
    return kind


@pytest.mark.slow
@pytest.mark.parametrize(("places", "scheme", "width"), LOOKS)
def test_every_view_fits_and_is_accessible(
    open_page: OpenPage, busy: str, places: Sequence[str], scheme: Literal["light", "dark"], width: int
) -> None:
    watched = open_page(scheme, width)
    watched.open()
    found = {place: faults for place in places if (faults := looked_at(watched, address(place, busy)))}
    assert found == {}


def looked_at(watched: Watched, place: str) -> list[str]:
    """Open a view; return what is wrong with its looks."""
    page = watched.page
    page.goto(f"{watched.site.url}/console/{place}")
    page.locator("main h1").wait_for()
    page.wait_for_timeout(400)
    faults = [f"{watched.overflow()} px wider than the screen"] if watched.overflow() > 0 else []
    violations = axe().run(page, options=RULES).response["violations"]
    nodes = [(violation, node) for violation in violations for node in violation["nodes"][:3]]
    return [*faults, *(f"{broken['id']}: {broken['help']}: {node['html'][:160]}" for broken, node in nodes)]
