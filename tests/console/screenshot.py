"""Takes the picture of docs/console.md: `python -m tests.console.screenshot docs/images/console.png`.

It runs a cluster with customers of a few types, lets them work for a while, and photographs the overview.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.console.conftest import chromium, running_site
from tests.console.site import Profiles, Site, Watched

WIDTH = 1280
COLORS = 128
WORK_S = 90.0
CUSTOMERS = ("acme", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "tyrell")
ERRORS = ("no route to the carrier", "the number does not exist", "timed out after 5 s")


def fill(site: Site) -> None:
    """Give the customers jobs at rates of their own; one is paused, and one carrier has a cap."""
    site.call("POST", "/type/sms~voda/", {"limits": [{"rate": "20/s"}], "max_leased": 40})
    for number, customer in enumerate(CUSTOMERS):
        site.enqueue("sms", customer, 300, interval=100 + 40 * number, requeue_limit=0)
        site.enqueue("sms~voda", customer, 200, interval=100)
        site.enqueue("email", customer, 40, interval=200)
    site.enqueue("webhook", "acme", 30, interval=500)
    site.enqueue("voice", "globex", 12, interval=2000, delay=600_000)
    site.call("POST", "/queue/webhook/acme/pause/")


def work(site: Site, seconds: float) -> None:
    """Do what is due; every twentieth message fails."""
    end_s, number = time.monotonic() + seconds, 0
    while time.monotonic() < end_s:
        now = f"{time.time():.3f}"
        jobs = [
            {"queue_type": "email", "queue_id": customer, "interval": 200, "payload": 1, "job_id": now}
            for customer in CUSTOMERS[: number % 5 + 1]
        ]
        site.call("POST", "/enqueue/", {"jobs": jobs})
        for kind in ("sms", "sms~voda", "email"):
            for job in site.call("POST", f"/dequeue/{kind}/?count=20").get("jobs", []):
                number += 1
                path = f"{kind}/{job['queue_id']}/{job['job_id']}/"
                if kind == "sms" and number % 20 == 0:
                    error = ERRORS[number // 20 % len(ERRORS)]
                    site.call("POST", f"/release/{path}", {"lease": job["lease"], "error": error})
                else:
                    site.call("POST", f"/finish/{path}", {"lease": job["lease"]})
        time.sleep(0.2)


def main() -> None:
    """Take the picture."""
    target, place = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "#/overview"
    with running_site() as site, sync_playwright() as playwright, chromium(playwright) as browser:
        fill(site)
        watched = Watched(Profiles(browser).of(width=WIDTH), site)
        page = watched.open(place)
        work(site, WORK_S)
        page.screenshot(path=target)
        with Image.open(target) as picture:
            small = picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        small.save(target, optimize=True)
        watched.close()


if __name__ == "__main__":
    main()
