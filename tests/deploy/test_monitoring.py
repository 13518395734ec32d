"""Dashboards and alerts: generated, tested, explained, and answered by Prometheus on a cluster under load."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp
import pytest

from deploy.dashboards.__main__ import DASHBOARDS, FOLDER, text_of
from deploy.dashboards.model import COLUMNS, Dashboard, render
from tests.deploy.layout import Layout, until
from tests.deploy.prometheus import has_data
from tests.deploy.rules import ALERTS, METRIC, RULES, operands
from tests.support.load.clients import running_load

VARIABLES = {"$__rate_interval": "1m", "$type": ".*"}
"""What Grafana would put into the queries."""


def panel_queries() -> Iterator[str]:
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                promql = query.promql
                for variable, text in VARIABLES.items():
                    promql = promql.replace(variable, text)
                yield promql


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.uid)
def test_committed_dashboard_is_what_its_source_makes(dashboard: Dashboard) -> None:
    assert (FOLDER / f"{dashboard.uid}.json").read_text() == text_of(dashboard), "python -m deploy.dashboards"


def test_no_other_dashboard_is_committed() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {dashboard.uid for dashboard in DASHBOARDS}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.uid)
def test_panels_do_not_overlap_and_take_their_source_from_the_variable(dashboard: Dashboard) -> None:
    rendered: Any = render(dashboard)
    taken: set[tuple[int, int]] = set()
    for panel in rendered["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert max(x for x, _ in cells) < COLUMNS
        taken |= cells
        assert panel["targets"]
        for holder in (panel, *panel["targets"]):
            assert holder["datasource"]["uid"] == "${datasource}"
    assert rendered["templating"]["list"][0]["name"] == "datasource"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_a_panel_shows_what_an_alert_looks_at(alert: dict[str, Any]) -> None:
    shown = {metric for promql in panel_queries() for metric in METRIC.findall(promql)}
    assert set(METRIC.findall(alert["expr"])) <= shown


@pytest.mark.slow
@pytest.mark.timeout(280)
async def test_every_panel_and_every_rule_is_answered_under_load(layout: Layout) -> None:
    prometheus = layout.services["prometheus"].url
    asked = [*panel_queries()]
    for rule in RULES:
        asked += [rule["record"]] if "record" in rule else operands(rule["expr"])
    async with running_load(layout.front.url), asyncio.TaskGroup() as group:
        losing = group.create_task(lose_jobs(layout.front.url))
        waiting = group.create_task(wait_for_a_rate(layout.front.url))
        for promql in asked:
            is_answered = partial(has_data, prometheus, promql)
            await asyncio.to_thread(until, is_answered, f"no data: {promql}")
        losing.cancel()
        waiting.cancel()


async def lose_jobs(url: str) -> None:
    """Make a window, and dead letters of a type with a limit: leases that end, jobs that expire. Until cancelled."""
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        await http.post(f"{url}/type/lost~a/", json={"rate": "1000/s", "burst": 100})
        always = {"days": "daily", "from": "00:00", "to": "24:00"}
        await http.put(f"{url}/window/always/", json={"tz": "UTC", "open": [always]})
        for number in range(1_000_000):
            body = {"job_id": f"lost{number}", "interval": 0, "payload": 0, "requeue_limit": 0}
            await http.post(f"{url}/enqueue/lost~a/1/", json=body)
            await http.post(f"{url}/enqueue/lost~a/2/", json={"interval": 0, "payload": 0, "expires": 1})
            with suppress(
                aiohttp.ClientResponseError
            ):  # another answer than a job: nothing is lost this time
                await http.post(f"{url}/dequeue/lost~a/?lease=100")
            await asyncio.sleep(0.1)


async def wait_for_a_rate(url: str) -> None:
    """Dequeue from a queue that its rate holds back, until cancelled."""
    async with aiohttp.ClientSession() as http:
        for number in range(100):
            body = {"job_id": f"j{number}", "rate": "20/min", "payload": 0}
            await http.post(f"{url}/enqueue/slow/1/", json=body)
        while True:
            await http.post(f"{url}/dequeue/slow/?wait=2000")
