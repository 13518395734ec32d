"""Dashboards and alerts: generated, tested, explained, and answered by Prometheus on a cluster under load."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from deploy.dashboards.__main__ import DASHBOARDS
from sharq_client import AsyncClient, EnqueueJob, Worker
from tests.deploy.layout import Layout, Service, until
from tests.deploy.monitoring.panels import panel_expressions
from tests.deploy.monitoring.rules import RULES, operands
from tests.deploy.prometheus import has_data
from tests.support.load.clients import running_load
from tests.support.ports import free_port

WITH_TLS = "sharq_certificate_expiry_seconds"
"""The layout has no certificates; test_secure.py looks at this metric in one that has."""


@pytest.mark.slow
@pytest.mark.timeout(280)
async def test_every_panel_and_every_rule_is_answered_under_load(layout: Layout) -> None:
    prometheus = layout.services["prometheus"].url
    asked = [promql for dashboard in DASHBOARDS for promql in panel_expressions(dashboard)]
    for rule in RULES:
        asked += [rule["record"]] if "record" in rule else operands(rule["expr"])
    async with running_load(layout.front.url), asyncio.TaskGroup() as group:
        losing = group.create_task(lose_jobs(layout.front.url))
        waiting = group.create_task(wait_for_a_rate(layout.front.url))
        working = group.create_task(work(layout.front.url, settings_of(layout.services["prometheus"])))
        for promql in (promql for promql in asked if WITH_TLS not in promql):
            is_answered = partial(has_data, prometheus, promql)
            await asyncio.to_thread(until, is_answered, f"no data: {promql}")
        losing.cancel()
        waiting.cancel()
        working.cancel()


def settings_of(prometheus: Service) -> Path:
    """Return the folder of Prometheus' settings in this run."""
    (file,) = [word.partition("=")[2] for word in prometheus.command if word.startswith("--config.file=")]
    return Path(file).parent


async def work(url: str, settings: Path) -> None:
    """Run a worker that Prometheus scrapes, and give it jobs, until cancelled."""
    port = free_port()
    (settings / "workers.json").write_text(json.dumps([{"targets": [f"127.0.0.1:{port}"]}]))
    async with AsyncClient(url) as client:
        worker = Worker(client, "worked", lambda job: None, metrics_port=port, handle_signals=False)
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run())
            for number in range(1_000_000):
                job = EnqueueJob(
                    queue_type="worked", queue_id="1", payload=number, job_id=f"w{number}", interval=0
                )
                await client.enqueue(job)
                await asyncio.sleep(0.1)


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
