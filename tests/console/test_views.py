"""The console's overview, types, one type and customers, in a browser against a cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.console.conftest import OpenPage
from tests.console.site import NARROW, WAIT_S, WIDE, Site, Watched, axe, expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROWS_AT_MOST = 100


def row_of(page: Page, region: str, name: str) -> Locator:
    """Return the row of a table that a name begins."""
    return page.get_by_role("region", name=region).get_by_role("row", name=re.compile(f"^{re.escape(name)}"))


def set_caps(site: Site, kind: str, **settings: object) -> None:
    """Change the settings of a gathered type."""
    assert site.call("POST", f"/type/{kind}/", settings)["status"] == "success"


def drop_the_jobs_of_others(site: Site) -> None:
    """Drop what other tests left waiting, so that the overview has room for this one's trouble."""
    for row in site.get("/types/?limit=1000")["types"]:
        for queue_id in site.get(f"/metrics/{row['queue_type']}/")["queue_ids"]:
            site.call("DELETE", f"/deletequeue/{row['queue_type']}/{quote(queue_id, safe='')}/")


def test_the_overview_says_who_is_not_well_and_why(site: Site, open_page: OpenPage, kind: str) -> None:
    drop_the_jobs_of_others(site)
    site.bury(kind, "acme", "no route to the handset")
    site.enqueue(kind, "globex", 3)
    site.call("POST", f"/type/{kind}/pause/")
    page = open_page().open()
    health = page.get_by_role("region", name="Health")
    expect(health).to_contain_text(f"{kind}: paused, 3 jobs waiting")
    expect(health.get_by_role("status")).to_have_text(re.compile("not well$"))
    expect(page.get_by_role("list", name="Figures").get_by_role("listitem")).to_have_count(6)
    failures = page.get_by_role("region", name="Failures")
    expect(failures.get_by_role("row", name=f"no route to the handset {kind} 1")).to_be_visible()
    expect(row_of(page, "Shards", "shard-2")).to_contain_text("serving")
    expect(row_of(page, "Types, by trouble", kind)).to_contain_text("paused")
    site.call("POST", f"/type/{kind}/resume/")
    expect(health).not_to_contain_text(f"{kind}: paused")
    health.get_by_role("status").wait_for()
    row_of(page, "Types, by trouble", kind).get_by_role("rowheader").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(kind)


def test_dead_letters_that_cannot_be_read_are_not_said_to_be_none(
    site: Site, open_page: OpenPage, kind: str
) -> None:
    site.bury(kind, "acme", "no route to the handset")
    watched = open_page()
    watched.page.route("**/dead/**", lambda route: route.abort())
    failures = watched.open().get_by_role("region", name="Failures")
    expect(failures).to_contain_text("The dead letters cannot be read")
    expect(failures.get_by_text("No dead letters")).to_be_hidden()
    watched.page.unroute("**/dead/**")
    expect(failures).not_to_contain_text("The dead letters cannot be read")
    watched.faults.clear()  # of the requests that this test cut off
    site.call("DELETE", f"/dead/{kind}/")  # so that the overview has room for those of other tests


@pytest.mark.parametrize(("width", "columns"), [(NARROW, 2), (1100, 3), (WIDE, 6)])
def test_figures_fill_their_rows(
    site: Site, open_page: OpenPage, kind: str, width: int, columns: int
) -> None:
    site.enqueue(kind, "acme")
    watched = open_page(width=width)
    page = watched.open()
    for place in ("#/overview", f"#/type/{kind}"):
        page.goto(f"{site.url}/console/{place}")
        figures = page.get_by_role("list", name="Figures").get_by_role("listitem")
        expect(figures).to_have_count(6)
        # All in one step: the page may move between two.
        tops = figures.evaluate_all("items => items.map(item => item.getBoundingClientRect().top)")
        assert [tops.count(top) for top in sorted(set(tops))] == [columns] * (6 // columns), place
        assert watched.overflow() == 0


def test_a_large_phone_shows_all_entries_of_both_menus(site: Site, open_page: OpenPage, kind: str) -> None:
    site.enqueue(kind, "acme")
    page = open_page(width=400).open(f"#/type/{kind}")
    for view, title in (
        ("type", "Type"),
        ("customers", "Customers"),
        ("dead", "Dead letters"),
        ("schedules", "Schedules"),
    ):
        page.goto(f"{site.url}/console/#/{view}/{kind}")
        expect(page.locator("[aria-current=page]")).to_have_text(["Types", title])
        menus = page.locator(".tabs, .bar nav")
        expect(menus).to_have_count(2)
        hidden = menus.evaluate_all("menus => menus.map(menu => menu.scrollWidth - menu.clientWidth)")
        assert hidden == [0, 0], view


def test_a_phone_shows_the_present_entry_of_each_menu_and_no_badge_over_a_name(
    site: Site, open_page: OpenPage, kind: str
) -> None:
    site.enqueue(kind, "acme")
    name = "a-cap-whose-name-takes-more-than-one-line"
    assert site.call("PUT", f"/cap/{name}/", {"rate": "40/s", "burst": 1.8})["status"] == "success"
    watched = open_page(width=NARROW)
    page = watched.open("#/cluster")
    present = page.locator("[aria-current=page]")
    expect(present).to_have_text("Cluster")
    expect(present).to_be_in_viewport(ratio=0.98)
    page.goto(f"{site.url}/console/#/schedules/{kind}")
    expect(present).to_have_text(["Types", "Schedules"])
    expect(present.last).to_be_in_viewport(ratio=0.98)
    page.goto(f"{site.url}/console/#/caps")
    row = row_of(page, "All caps", name)
    expect(row).to_contain_text("40/s, burst 1.8")
    heading, badge = row.get_by_role("rowheader").bounding_box(), row.locator(".badge").bounding_box()
    assert heading is not None and badge is not None
    assert heading["x"] + heading["width"] <= badge["x"]
    site.call("DELETE", f"/cap/{name}/")


def test_the_axis_of_a_slow_queue_has_one_unit_and_is_not_cut(
    site: Site, open_page: OpenPage, kind: str
) -> None:
    site.enqueue(kind, "acme")
    page = open_page().open(f"#/queue/{kind}/acme")
    chart = page.locator(".chart-picture")
    levels = chart.locator("text[text-anchor=end]")
    expect(levels).to_have_text(["0/min", "0.5/min", "1/min", "1.5/min"])
    boxes = [node.bounding_box() for node in (chart, *levels.all())]
    left, *lefts = [box["x"] for box in boxes if box]
    assert len(lefts) == 4
    assert min(lefts) >= left


def test_rows_stay_in_the_page_while_their_numbers_change(site: Site, open_page: OpenPage, kind: str) -> None:
    site.enqueue(kind, "acme", 2)
    page = open_page().open(f"#/types?q={kind}")
    row = row_of(page, "Types", kind)
    expect(row.locator(".cell-waiting")).to_have_text("2")
    row.evaluate("(node) => { node.dataset.mark = 'same' }")
    row.get_by_role("link").focus()
    site.enqueue(kind, "globex", 5)
    expect(row.locator(".cell-waiting")).to_have_text("7")
    expect(row).to_have_attribute("data-mark", "same")
    expect(row.get_by_role("link")).to_be_focused()


def test_types_are_found_by_a_part_of_their_name(site: Site, open_page: OpenPage, kind: str) -> None:
    for name in (f"{kind}-a", f"{kind}-b"):
        site.enqueue(name, "acme")
    page = open_page().open("#/types")
    rows = page.get_by_role("region", name="Types").get_by_role("rowheader")
    page.get_by_label("Search").fill(kind.upper())
    expect(rows).to_have_count(2)
    page.get_by_label("Search").fill(f"{kind}-b")
    expect(rows).to_have_text([f"{kind}-b"])
    assert page.url.endswith(f"#/types?q={kind}-b")


def test_a_type_shows_its_caps_and_what_it_delivers(site: Site, open_page: OpenPage, kind: str) -> None:
    name = f"{kind}~x"
    quota = {"quota": 5000, "period": "day", "tz": "UTC"}
    set_caps(site, name, limits=[{"rate": "20/s", "burst": 2}], max_leased=50, quotas=[quota])
    site.enqueue(name, "acme", 40, interval=100)
    site.enqueue(name, "globex", 5, interval=100)
    for _ in range(6):
        site.call("POST", f"/dequeue/{name}/?wait=1000")
    page = open_page().open(f"#/type/{name}")
    caps = page.get_by_role("region", name="Caps")
    expect(caps).to_contain_text("20/s, burst 2")
    expect(caps).to_contain_text("5,000 a day (UTC)")
    expect(caps).to_contain_text("6 of 50")
    drawing = page.get_by_role("region", name="Promised and delivered", exact=True)
    expect(drawing).to_contain_text("The cap is 20/s.")
    expect(drawing).to_contain_text("of the promised jobs were delivered")
    expect(drawing.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"Promised .*Delivered "))
    drawing.get_by_text("As a table").click()
    expect(drawing.get_by_role("columnheader")).to_have_text(["Time", "Promised", "Delivered"])
    customers = page.get_by_role("region", name="Customers with most waiting jobs").get_by_role("rowheader")
    expect(customers).to_have_text(["acme", "globex"])


def test_a_cap_is_changed_after_one_more_question(site: Site, open_page: OpenPage, kind: str) -> None:
    name = f"{kind}~x"
    set_caps(site, name, rate="20/s", max_leased=50)
    page = open_page().open(f"#/type/{name}")
    page.get_by_role("button", name="Change caps").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Limit 1", exact=True)).to_have_value("20/s")
    dialog.get_by_label("Limit 1", exact=True).fill("25/s")
    dialog.get_by_label("Burst of limit 1").fill("2")
    dialog.get_by_label("Leases at a time").fill("")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert site.get(f"/type/{name}/")["limits"][0]["rate"] == "20/s"
    page.get_by_role("button", name="Change caps").click()
    dialog.get_by_label("Limit 1", exact=True).fill("25/s")
    dialog.get_by_label("Burst of limit 1").fill("2")
    dialog.get_by_label("Leases at a time").fill("")
    dialog.get_by_role("button", name="Change").click()
    expect(page.locator("#notices")).to_contain_text("The caps are now 25/s at burst 2.")
    state = site.get(f"/type/{name}/")
    assert state["limits"] == [{"interval": 40, "rate": "25/s", "burst": 2, "unit": "job"}]
    assert state["max_leased"] is None


READ_REASONS = """async () => {
  const main = document.querySelector("script[src$='main.js']").src;
  const { Reasons } = await import(new URL("views/overview_failures.js", main));
  const letters = Array.from({ length: 730 }, (_, at) => ({ reason: "limit", error: at < 650 ? "old" : "new" }));
  let calls = 0;
  const ask = async (method, path, { query }) => {
    calls += 1;
    const from = Number(query.cursor ?? 0);
    const to = from + query.limit;
    return { jobs: letters.slice(from, to), cursor: to < letters.length ? String(to) : null };
  };
  const reasons = new Reasons("sms");
  const seen = [];
  const look = async (dead) => {
    await reasons.readOn(dead, new AbortController().signal, ask);
    seen.push([calls, reasons.rows().map(({ reason, number, isAll }) => [reason, number, isAll])]);
  };
  for (const dead of [730, 730, 730]) await look(dead);
  letters.push({ reason: "expired" });
  for (const dead of [731, 731]) await look(dead);
  return seen;
}"""


def test_the_reasons_of_all_dead_letters_are_read_in_steps(open_page: OpenPage) -> None:
    page = open_page().open("#/windows")
    whole = [["old", 650, True], ["new", 80, True]]
    assert page.evaluate(READ_REASONS) == [
        [5, [["old", 500, False]]],
        [8, whole],
        [8, whole],
        [13, whole],
        [16, [*whole, ["expired before a worker took it", 1, True]]],
    ]


def test_a_type_is_paused_and_resumed(site: Site, open_page: OpenPage, kind: str) -> None:
    site.enqueue(kind, "acme")
    page = open_page().open(f"#/type/{kind}")
    for action, said, reason in (
        ("Pause", f"{kind} is paused.", "type_paused"),
        ("Resume", f"{kind} gives jobs again.", None),
    ):
        page.get_by_role("button", name=action).click()
        page.get_by_role("dialog").get_by_role("button", name=action).click()
        expect(page.locator("#notices")).to_contain_text(said)
        other = "Resume" if action == "Pause" else "Pause"
        expect(page.get_by_role("button", name=other)).to_be_focused()
        expect(page.get_by_role("button", name=action)).to_be_hidden()
        assert site.get(f"/queue/{kind}/acme/")["blocked_by"] == reason


def test_the_focus_stays_with_the_type_if_somebody_else_pauses_it(
    site: Site, open_page: OpenPage, kind: str
) -> None:
    site.enqueue(kind, "acme")
    page = open_page().open(f"#/type/{kind}")
    page.get_by_role("button", name="Pause").focus()
    site.call("POST", f"/type/{kind}/pause/")
    expect(page.get_by_role("button", name="Resume")).to_be_focused()


def test_customers_have_an_order_and_at_most_a_hundred_rows(
    site: Site, open_page: OpenPage, kind: str
) -> None:
    jobs = [
        {"queue_type": kind, "queue_id": f"c{number}", "interval": 60_000, "payload": 1}
        for number in range(150)
    ]
    site.call("POST", "/enqueue/", {"jobs": jobs})
    site.enqueue(kind, "most", 4)
    page = open_page().open(f"#/customers/{kind}")
    rows = page.get_by_role("region", name="Customers").get_by_role("rowheader")
    expect(rows).to_have_count(ROWS_AT_MOST)
    expect(rows.first).to_have_text("most")
    expect(page.get_by_role("status").filter(has_text="queues")).to_have_text("The first 100 queues")
    page.get_by_role("button", name="Age").click()
    expect(rows.first).not_to_have_text("most")
    page.get_by_label("Search").fill("c14")
    expect(rows).to_have_count(11)
    page.get_by_label("Search").fill("nobody")
    expect(page.get_by_text("No queue has nobody in its id.")).to_be_visible()


def test_customers_with_most_dead_letters_come_first(site: Site, open_page: OpenPage, kind: str) -> None:
    site.bury(kind, "few", "gone")
    site.enqueue(kind, "many", 3, interval=0, requeue_limit=0)
    for job in site.call("POST", f"/dequeue/{kind}/?count=3")["jobs"]:
        site.call("POST", f"/release/{kind}/many/{job['job_id']}/", {"lease": job["lease"]})
    page = open_page().open(f"#/customers/{kind}?by=dead")
    rows = page.get_by_role("region", name="Customers").get_by_role("rowheader")
    expect(rows).to_have_text(["many", "few"])
    rows.first.get_by_role("link").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("many")


def test_the_drawing_of_a_customer_shows_a_broken_promise(site: Site, open_page: OpenPage, kind: str) -> None:
    # No worker asks: the queue promises two jobs a second, and none leaves.
    site.enqueue(kind, "acme", 500, interval=500)
    page = open_page().open(f"#/queue/{kind}/acme")
    drawing = page.get_by_role("region", name="Promised and delivered", exact=True)
    expect(drawing).to_contain_text("The rate is 2/s.")
    expect(drawing).to_contain_text("0 % of the promised jobs were delivered.")
    expect(drawing.get_by_role("listitem")).to_have_text(
        [re.compile("Promised 2/s"), re.compile("Delivered 0/s")]
    )


def test_no_view_is_shown_before_the_token_is_known(open_page: OpenPage) -> None:
    watched = open_page()
    page = watched.page
    page.goto(f"{watched.site.url}/console/#/overview")
    page.get_by_label("Token").wait_for()
    page.goto(f"{watched.site.url}/console/#/types")
    expect(page.get_by_label("Token")).to_be_visible()
    page.get_by_label("Token").fill(watched.site.tokens["admin"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Types")
    watched.faults = [fault for fault in watched.faults if "401" not in fault]


def test_a_lost_router_is_said_and_found_again(open_page: OpenPage) -> None:
    watched = open_page()
    page = watched.open()
    live, health = page.locator("#live"), page.get_by_role("region", name="Health")
    expect(live).to_have_text("Live")
    # Another view asks for another stream, which the router does not answer.
    page.route("**/console/stream*", lambda route: route.abort())
    page.goto(f"{watched.site.url}/console/#/type/sms")
    expect(live).to_contain_text("Not live, next try at")
    page.goto(f"{watched.site.url}/console/#/overview")
    expect(health).to_contain_text("These figures are from")
    page.unroute("**/console/stream*")
    expect(live).to_have_text("Live", timeout=WAIT_S * 1000)
    expect(health).not_to_contain_text("These figures are from")
    watched.faults.clear()


def test_the_first_view_needs_the_keyboard_only(site: Site, open_page: OpenPage, kind: str) -> None:
    site.enqueue(kind, "acme")
    page = open_page().open(f"#/types?q={kind}")
    row_of(page, "Types", kind).wait_for()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    for _ in range(20):
        if focused.inner_text() == kind:
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(kind)
    expect(page.locator("#view")).to_be_focused()


def test_forms_and_long_names_are_accessible_on_a_phone(site: Site, open_page: OpenPage) -> None:
    name = "sms-of-a-carrier-with-a-long-name~axe"
    set_caps(site, name, rate="20/s", burst=2, max_leased=50)
    site.enqueue(name, "a-customer-with-a-long-name@example.com", 3)
    site.bury("sms-axe", "acme", "a rather long error of which nobody knows what it means " * 3)
    watched = open_page("dark", NARROW)
    page = watched.page
    page.goto(f"{site.url}/console/")
    page.get_by_label("Token").wait_for()
    assert_accessible(watched)
    watched.open()
    page.get_by_role("region", name="Failures").get_by_role("row").nth(1).wait_for()
    assert_accessible(watched)
    page.goto(f"{site.url}/console/#/type/{name}")
    page.get_by_role("button", name="Change caps").click()
    page.get_by_role("dialog").wait_for()
    assert_accessible(watched)


def assert_accessible(watched: Watched) -> None:
    """Assert that no rule of axe is broken, and that the page does not scroll sideways."""
    assert watched.overflow() == 0
    found = axe().run(watched.page)
    assert found.violations_count == 0, found.generate_report()
