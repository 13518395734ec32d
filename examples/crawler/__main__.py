"""Crawls three hosts, one of which changes its crawl-delay on the way, and judges by what the hosts saw."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter

import aiohttp
from aiohttp import web

from examples.crawler.crawler import QUEUE_TYPE, Crawler, schedule_of
from examples.crawler.sites import OnThisMachine, Sites, Visit
from examples.options import Options, read_options
from examples.pace import most_ahead_s
from examples.receiver import serving, write_log
from examples.verdict import Verdict
from sharq_client import AsyncClient, Worker

DELAYS_S = {"news.example": 0.1, "docs.example": 0.2, "shop.example": 0.5}
NEW_DELAY_S = 0.1
"""The delay that shop.example asks for from the middle of the run on."""

AHEAD_S = 0.5
"""The longest time from the lease of a request to its arrival at the host."""


async def main(options: Options) -> int:
    """Run the example and return its exit code."""
    logging.getLogger("sharq.worker").setLevel(logging.ERROR)  # a page that robots.txt forbids is a warning
    pages = {
        "news.example": round(options.seconds * 6),
        "docs.example": round(options.seconds * 3),
        "shop.example": round(options.seconds * 4),
    }
    sites = Sites(pages, dict(DELAYS_S))
    async with (
        AsyncClient() as client,
        serving(web.get("/{path:.*}", sites.get)) as url,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=OnThisMachine())) as http,
    ):
        await clear(client)
        crawler = Crawler(client, http)
        async with Worker(client, QUEUE_TYPE, crawler.visit, concurrency=20, wait_ms=500):
            start_s = time.time()
            await crawler.enqueue([f"http://news.example:{url.rpartition(':')[2]}/0"])
            await asyncio.sleep(options.seconds / 2)
            sites.delays["shop.example"] = NEW_DELAY_S
            await until_all_seen(sites, options.seconds * 2 + 20)
            await asyncio.sleep(0.5)  # time for a second visit, if there were any
        await clear(client)
    write_log(options.log, sites.visits)
    show(sites.visits, start_s)
    return judge(sites)


async def until_all_seen(sites: Sites, timeout_s: float) -> None:
    """Wait until each page was visited, or until the time is over."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        seen = {(visit.host, visit.path) for visit in sites.visits if is_page(visit)}
        if len(seen) == sum(sites.pages.values()):
            return
        await asyncio.sleep(0.05)


def is_page(visit: Visit) -> bool:
    """Return True unless robots.txt was visited."""
    return visit.path != "/robots.txt"


async def clear(client: AsyncClient) -> None:
    """Remove what this run, or one that was interrupted, has left."""
    for host in DELAYS_S:
        await client.control.schedules.delete(schedule_of(host))
        await client.delete_queue(QUEUE_TYPE, host, purge_all=True)


def show(visits: list[Visit], start_s: float) -> None:
    """Print for each host how many requests it saw in each second."""
    seconds = range(int(max(visit.at for visit in visits) - start_s) + 1)
    print(f"{'requests in second':20}{''.join(f'{second + 1:5}' for second in seconds)}")
    for host in DELAYS_S:
        counts = Counter(int(visit.at - start_s) for visit in visits if visit.host == host)
        print(f"{host:20}{''.join(f'{counts[second]:5}' for second in seconds)}")


def judge(sites: Sites) -> int:
    """Print what the hosts saw and return the exit code."""
    verdict = Verdict()
    pages = Counter((visit.host, visit.path) for visit in sites.visits if is_page(visit))
    total = sum(sites.pages.values())
    verdict.check(
        "each page is visited once",
        is_kept=len(pages) == pages.total() == total,
        seen=f"{pages.total()} visits to {len(pages)} of {total} pages",
    )
    forbidden = sum(visit.path.startswith("/private/") for visit in sites.visits)
    verdict.check("nothing forbidden is visited", is_kept=forbidden == 0, seen=f"{forbidden} visits")
    for host in DELAYS_S:
        for delay_s in sorted({visit.delay for visit in sites.visits if visit.host == host}, reverse=True):
            times = [visit.at for visit in sites.visits if visit.host == host and visit.delay == delay_s]
            ahead_s = most_ahead_s([(at, 1) for at in times], 1 / delay_s)
            verdict.check(
                f"{host} is visited every {delay_s:g} s at most",
                is_kept=ahead_s <= AHEAD_S,
                seen=f"no visit of {len(times)} is more than {ahead_s * 1000:.0f} ms too early",
            )
    at_once = max(visit.at_once for visit in sites.visits)
    verdict.check("no host has two requests at once", is_kept=at_once == 1, seen=f"at most {at_once}")
    late = [visit.at for visit in sites.visits if visit.host == "shop.example" and visit.delay == NEW_DELAY_S]
    paces = [later - earlier for earlier, later in zip(late[-6:], late[-5:], strict=False)]
    verdict.check(
        "a new crawl-delay holds for waiting pages, too",
        is_kept=sum(paces) / len(paces) < DELAYS_S["shop.example"] * 0.8,
        seen=f"shop.example is visited every {sum(paces) / len(paces):.2f} s at the end",
    )
    return verdict.exit_code()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(read_options(__doc__ or "", seconds=5))))
