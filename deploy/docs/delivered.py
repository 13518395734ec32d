"""Measures and draws the picture of the README: `python -m deploy.docs.delivered` (25 s).

A `sharq-server` of its own runs, two customers enqueue in spikes, and one worker leases whatever is ready. The times
are those of the store: when each job was enqueued, and when it was leased. They are kept beside the picture, so that
`--draw` draws it anew from the same run.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import msgspec

from deploy.demo.processes import own_server
from deploy.docs.figure import Figure
from deploy.docs.repository import DOCS
from sharq_client import AsyncClient, EnqueueJob, RunningJob, Worker

PICTURE = DOCS / "images" / "delivered.svg"
RUN = DOCS / "images" / "delivered.json"

LENGTH_S = 20.0
STEP_S = 0.5
"""The width of a bar."""

LEASE_MS = 30_000
BURST = 1.1
"""Even spacing that loses none of the rate (docs/limits.md)."""

_LEFT, _PER_S, _ROW = 200, 25, 132


class Customer(msgspec.Struct, frozen=True):
    """One queue, and what its producer does.

    Attributes:
        spikes: (seconds after the start, number of jobs) of each spike.
    """

    name: str
    rate_per_s: int
    spikes: tuple[tuple[float, int], ...]


CUSTOMERS = (
    Customer("acme", 10, ((0, 70), (3.25, 12), (5.75, 45), (6.25, 25), (12.25, 4), (14.75, 38))),
    Customer("globex", 4, ((0, 8), (2.25, 30), (10.75, 3), (11.25, 26), (16.25, 8))),
)


class Run(msgspec.Struct, frozen=True):
    """The times of one run, in s after its start, of each customer in the order of CUSTOMERS."""

    enqueued_s: list[list[float]]
    leased_s: list[list[float]]


async def measure() -> Run:
    """Run the customers and the worker for LENGTH_S."""
    times_ms: dict[str, tuple[list[int], list[int]]] = {customer.name: ([], []) for customer in CUSTOMERS}

    def note(job: RunningJob) -> None:
        enqueued_ms, leased_ms = times_ms[job.queue_id]
        enqueued_ms.append(job.enqueued_at)
        leased_ms.append(job.lease_expires_at - LEASE_MS)

    async with (
        own_server() as url,
        AsyncClient(url) as client,
        Worker(client, "sms", note, concurrency=20, lease_ms=LEASE_MS),
    ):
        await asyncio.gather(*(_produce(client, customer) for customer in CUSTOMERS))
    start_ms = min(times[0][0] for times in times_ms.values()) - 350
    in_s = [[[(ms - start_ms) / 1000 for ms in times] for times in both] for both in times_ms.values()]
    return Run([both[0] for both in in_s], [both[1] for both in in_s])


async def _produce(client: AsyncClient, customer: Customer) -> None:
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    for at_s, count in (*customer.spikes, (LENGTH_S, 0)):
        await asyncio.sleep(max(0.0, start_s + at_s - loop.time()))
        job = EnqueueJob(
            queue_type="sms",
            queue_id=customer.name,
            payload=None,
            rate=f"{customer.rate_per_s}/s",
            burst=BURST,
        )
        await client.enqueue_many([job] * count)


def draw(run: Run) -> Figure:
    """Draw what arrived above what left, for each customer."""
    figure = Figure(
        720, 40 + _ROW * len(CUSTOMERS), "Jobs arrive in spikes and leave evenly at each customer's rate"
    )
    for number, customer in enumerate(CUSTOMERS):
        top = 10 + _ROW * number
        middle, foot = top + 58, top + 112
        figure.text(10, top + 20, customer.name, "strong", "start")
        figure.text(10, top + 40, f"promised {customer.rate_per_s}/s", "small", "start")
        figure.text(_LEFT - 14, middle - 4, "arrive", "small", "end")
        figure.text(_LEFT - 14, foot - 4, "leave", "small", "end")
        _bars(figure, run.enqueued_s[number], middle, 46, "two")
        _bars(figure, run.leased_s[number], foot, 24, "one", customer.rate_per_s * STEP_S)
        promised_y = foot - 24
        figure.path([(_LEFT, promised_y), (_LEFT + LENGTH_S * _PER_S, promised_y)], "line dashed")
    for second in range(0, int(LENGTH_S) + 1, 5):
        figure.text(
            _LEFT + second * _PER_S,
            30 + _ROW * len(CUSTOMERS),
            f"{second} s",
            "small",
            "middle" if second < LENGTH_S else "end",
        )
    return figure


def _bars(
    figure: Figure, times_s: Sequence[float], foot: float, height: float, kind: str, full: float | None = None
) -> None:
    """Draw the number of times in each step as a bar; one of `full`, or else the greatest, is as high as `height`."""
    counts = [0] * round(LENGTH_S / STEP_S)
    for time_s in times_s:
        if 0 <= time_s < LENGTH_S:
            counts[int(time_s / STEP_S)] += 1
    unit = height / (full or max(counts))
    for step, count in enumerate(counts):
        if count:
            figure.bar(
                _LEFT + step * STEP_S * _PER_S + 1,
                foot - count * unit,
                STEP_S * _PER_S - 2,
                count * unit,
                kind,
            )
    figure.path([(_LEFT, foot), (_LEFT + LENGTH_S * _PER_S, foot)])


def main() -> None:
    """Measure unless told to draw only, and write the picture."""
    if "--draw" not in sys.argv[1:]:
        RUN.write_bytes(msgspec.json.format(msgspec.json.encode(asyncio.run(measure())), indent=0) + b"\n")
    PICTURE.write_text(draw(msgspec.json.decode(RUN.read_bytes(), type=Run)).svg())


if __name__ == "__main__":
    main()
