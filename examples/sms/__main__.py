"""Sends the messages of four customers through two carriers, and judges the run by what arrived there."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import aiohttp
from aiohttp import web

from examples.options import Options, read_options
from examples.receiver import serving, write_log
from examples.sms.carrier import Arrival, Carrier
from examples.sms.sender import CUSTOMERS, LIMITS, Sender, message, set_up
from examples.verdict import LEAST_SHARE, Verdict
from sharq_client import AsyncClient, OpenRange, Window, Worker

URGENT = 1
CODE_LIFE_S = 2.25
LATE_S = 0.5
"""The longest time that a message takes from the worker to the carrier."""


def campaign(seconds: float) -> Iterator[dict[str, object]]:
    """Yield more messages than the carriers take in that time, all at once."""
    for n in range(round(seconds * 8)):
        yield message("skytel", "acme", f"acme-{n}", "Our spring sale has begun.")
    for n in range(round(seconds * 10)):
        yield message(
            "skytel", "globex", f"globex-{n}", "Привет! " * 25
        )  # 200 characters of UCS-2: 3 segments
    for n in range(round(seconds * 8)):
        yield message("telco", "travel", f"travel-{n}", "Your flight leaves in [4 h].")
    for n in range(round(seconds * 3)):  # more codes than bank may send before they expire
        yield message("telco", "bank", f"code-{n}", f"Your code is {n:06}.", expires=CODE_LIFE_S * 1000)


async def main(options: Options) -> int:
    """Run the example and return its exit code."""
    skytel = Carrier("skytel", 40, counts_segments=True)
    telco = Carrier("telco", 10, counts_segments=False)
    carriers = {carrier.name: carrier for carrier in (skytel, telco)}
    routes = [web.post(f"/{name}", carrier.receive) for name, carrier in carriers.items()]
    async with AsyncClient() as client, serving(*routes) as url, aiohttp.ClientSession() as http:
        await clear(client)
        await set_up(client)
        await set_windows(client)
        sender = Sender(http, url)
        async with Worker(client, list(LIMITS), sender.send, concurrency=50, wait_ms=500):
            answers = await client.enqueue_many(list(campaign(options.seconds)))
            assert answers.failed == 0, answers
            await send_by_day(client)
            await asyncio.sleep(1)
            login_at_s = time.time()
            for n in range(3):  # the newsletter of acme waits, and its logins overtake it
                await client.enqueue(
                    message("skytel", "acme", f"login-{n}", f"Your code is {n:06}.", priority=URGENT)
                )
            await until_sent(client, options.seconds * 2 + 20)
        waiting = [job async for job in client.jobs.in_queue("sms~skytel", "globex", prefix="night-")]
        expired = [letter async for letter in client.dead("sms~telco", queue_id="bank")]
        await clear(client)
    arrivals = [*skytel.arrivals, *telco.arrivals]
    write_log(options.log, arrivals)
    show(arrivals)
    verdict = Verdict()
    judge_rates(verdict, carriers)
    judge_codes(verdict, arrivals, len(expired) + sender.dropped, round(options.seconds * 3))
    judge_order(verdict, skytel.arrivals, login_at_s)
    night = [arrival for arrival in arrivals if arrival.name.startswith("night-")]
    day = [arrival for arrival in arrivals if arrival.name.startswith("day-")]
    verdict.check(
        "nobody is woken at night",
        is_kept=len(day) == 5 and len(waiting) == 5 and not night,
        seen=f"{len(day)} of 5 left by day, {len(night)} of 5 by night, {len(waiting)} wait for the morning",
    )
    return verdict.exit_code()


async def set_windows(client: AsyncClient) -> None:
    """Define the times of the day at which recipients may be written to: two zones, in one of which it is night."""
    for name, hour in (("sms-day", 12), ("sms-night", 0)):
        hours = OpenRange(days="daily", begins="08:00", ends="21:00")
        await client.control.put_window(name, Window(tz=zone_in_which_it_is(hour), open=[hours]))


def zone_in_which_it_is(hour: int) -> str:
    """Return a time zone whose clock shows that hour now. A real sender takes the zone of the recipient."""
    offset = (hour - datetime.now(UTC).hour + 11) % 24 - 11
    return f"Etc/GMT{-offset:+d}"  # Etc/GMT-3 is three hours ahead of UTC


async def send_by_day(client: AsyncClient) -> None:
    """Enqueue messages for recipients for whom it is day and night now."""
    for n in range(5):
        for window in ("day", "night"):
            await client.enqueue(
                message(
                    "skytel", "globex", f"{window}-{n}", "Good morning", window=f"sms-{window}", priority=2
                )
            )


async def until_sent(client: AsyncClient, timeout_s: float) -> None:
    """Wait until nothing is left but the messages that wait for the morning."""
    async with asyncio.timeout(timeout_s):
        while True:
            types = [await client.control.type(queue_type) for queue_type in LIMITS]
            if sum(each.queued + each.delayed + each.leased for each in types) <= 5:
                return
            await asyncio.sleep(0.1)


async def clear(client: AsyncClient) -> None:
    """Remove what this run, or one that was interrupted, has left."""
    for queue_type, customer in CUSTOMERS:
        await client.delete_queue(queue_type, customer, purge_all=True)
        await client.drop_dead(queue_type)
    for name in ("sms-day", "sms-night"):
        await client.control.drop_window(name)


def show(arrivals: list[Arrival]) -> None:
    """Print a line for each customer."""
    print(f"{'carrier':9}{'customer':10}{'messages':>9}{'segments':>9}{'seconds':>9}{'per second':>12}")
    for queue_type, customer in CUSTOMERS:
        carrier = queue_type.partition("~")[2]
        own = [each for each in arrivals if (each.carrier, each.customer) == (carrier, customer)]
        units, span_s = sum(each.units for each in own), own[-1].at - own[0].at
        print(f"{carrier:9}{customer:10}{len(own):9}{units:9}{span_s:9.1f}{units / span_s:12.1f}")


def judge_rates(verdict: Verdict, carriers: dict[str, Carrier]) -> None:
    """Compare what each carrier has seen with its limit: never more, and not much less."""
    for carrier in carriers.values():
        arrivals = carrier.arrivals
        span_s = arrivals[-1].at - arrivals[0].at
        rate = sum(arrival.units for arrival in arrivals[:-1]) / span_s
        verdict.check(
            f"{carrier.name} gets {carrier.units_per_s:g} a second",
            is_kept=LEAST_SHARE * carrier.units_per_s <= rate <= 1.05 * carrier.units_per_s,
            seen=f"{rate:.1f} a second",
        )
        refused = sum(arrival.status == 429 for arrival in arrivals)
        verdict.check(
            f"{carrier.name} never has to refuse", is_kept=refused == 0, seen=f"{refused} answers 429"
        )


def judge_codes(verdict: Verdict, arrivals: list[Arrival], expired: int, total: int) -> None:
    """Check that each code was sent in time or not at all."""
    codes = [arrival for arrival in arrivals if arrival.expires_at is not None]
    late = sum(code.at > (code.expires_at or 0) + LATE_S for code in codes)
    verdict.check(
        "no code is sent late",
        is_kept=late == 0 and len(codes) > 0 and expired > 0 and len(codes) + expired == total,
        seen=f"{len(codes)} of {total} sent, {late} of them late, {expired} expired",
    )


def judge_order(verdict: Verdict, arrivals: list[Arrival], login_at_s: float) -> None:
    """Check that logins overtake the newsletter of their customer."""
    names = [arrival.name for arrival in arrivals if arrival.customer == "acme"]
    last_login = max(names.index(f"login-{n}") for n in range(3))
    overtaken = len(names) - 1 - last_login
    waited_s = max(arrival.at for arrival in arrivals if arrival.name.startswith("login-")) - login_at_s
    verdict.check(
        "a login overtakes the newsletter",
        is_kept=overtaken >= 10,
        seen=f"3 logins within {waited_s:.1f} s, before {overtaken} newsletters that were enqueued earlier",
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main(read_options(__doc__ or "", seconds=5))))
