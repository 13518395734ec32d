"""Visits pages at the pace of their hosts and enqueues the links that it finds: this is the part to take over."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import aiohttp

from sharq_client import AsyncClient, Drop, EnqueueJob, QueueSettings, RunningJob

QUEUE_TYPE = "crawl"
AGENT = "sharq-example"
FIRST_DELAY_MS = 1_000
"""The pace of a host whose robots.txt is not known yet, or does not say one."""

ROBOTS_EVERY_MS = 1_000
"""Interval between two readings of robots.txt. A real crawler reads it once a day."""


class Crawler:
    """The handler of the worker."""

    def __init__(self, client: AsyncClient, http: aiohttp.ClientSession) -> None:
        self._client = client
        self._http = http
        self._robots: dict[str, RobotFileParser] = {}

    async def enqueue(self, urls: Iterable[str]) -> None:
        """Enqueue pages, each in the queue of its host; what was enqueued before is ignored by the server."""
        jobs = [job for url in dict.fromkeys(urls) if self._may_visit(url) for job in jobs_of(url)]
        answers = await self._client.enqueue_many(jobs, repeat=True)
        if answers.failed:
            raise RuntimeError(f"{answers.failed} links were not enqueued")  # the page is visited again

    async def visit(self, job: RunningJob) -> None:
        """Get a page and enqueue its links, or get a robots.txt and obey it."""
        url, host = job.payload["url"], job.queue_id
        is_robots = urlsplit(url).path == "/robots.txt"
        if not is_robots and not self._may_visit(url):  # it was enqueued before the rules were known
            raise Drop("robots.txt forbids it")
        async with self._http.get(url, headers={"User-Agent": AGENT}) as answer:
            answer.raise_for_status()
            text = await answer.text()
        if is_robots:
            await self._obey(host, url, text)
        else:
            await self.enqueue(urljoin(url, link) for link in re.findall(r'<a href="([^"]+)"', text))

    def _may_visit(self, url: str) -> bool:
        """Return False if the robots.txt of the host is known and forbids it."""
        robots = self._robots.get(urlsplit(url).hostname or "")
        return robots is None or robots.can_fetch(AGENT, url)

    async def _obey(self, host: str, url: str, text: str) -> None:
        """Take over the rules and the pace of a host; the pace holds for the pages that wait already, too."""
        is_new = host not in self._robots
        self._robots[host] = RobotFileParser()
        self._robots[host].parse(text.splitlines())
        delay = re.search(r"^crawl-delay:\s*([\d.]+)", text, re.IGNORECASE | re.MULTILINE)
        interval_ms = FIRST_DELAY_MS if delay is None else float(delay[1]) * 1000
        settings = QueueSettings(interval=interval_ms, max_leased=1)
        await self._client.control.set_queue(QUEUE_TYPE, host, settings)
        if is_new:
            again = robots_job(host, url, job_id=None)
            await self._client.control.schedules.put(schedule_of(host), again, every_ms=ROBOTS_EVERY_MS)


def jobs_of(url: str) -> Iterator[EnqueueJob]:
    """Yield the job of a page, and before it that of the host's robots.txt, which leaves first."""
    host = urlsplit(url).hostname or ""
    yield robots_job(host, urljoin(url, "/robots.txt"), job_id="robots")
    yield EnqueueJob(
        queue_type=QUEUE_TYPE,
        queue_id=host,
        job_id=hashlib.sha256(url.encode()).hexdigest()[:32],
        payload={"url": url},
        interval=FIRST_DELAY_MS,
        max_leased=1,
    )


def robots_job(host: str, url: str, job_id: str | None) -> EnqueueJob:
    """Return the job that reads a robots.txt."""
    return EnqueueJob(
        queue_type=QUEUE_TYPE,
        queue_id=host,
        job_id=job_id,
        payload={"url": url},
        interval=FIRST_DELAY_MS,
        max_leased=1,
        priority=1,
    )


def schedule_of(host: str) -> str:
    """Return the name of the schedule that reads the robots.txt of a host again."""
    return f"robots-{host}"
