"""Writes the drawings of docs/concepts.md: `python -m deploy.docs.drawings`.

What moves in them is computed: times come from a SHARQ in memory with the rules of the server, and places from the
partitions and the ring of a cluster of three shards.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from deploy.docs.figure import Figure
from deploy.docs.repository import DOCS
from sharq_client import Worker
from sharq_client.testing import FakeSharq
from sharq_core.partitions import Ring, partition_of

IMAGES = DOCS / "images"

_ARRIVALS_S = (0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 3.1, 3.3, 5.9, 5.9, 5.9)
"""The times at which the jobs in the drawing of a rate arrive."""


def job_life() -> Figure:
    """Draw the states of a job and what moves it from one to the next."""
    figure = Figure(
        720, 300, "The states of a job: delayed, queued, leased, finished, dead, cancelled, expired"
    )
    boxes = {"delayed": (150, 20), "queued": (150, 120), "leased": (400, 120), "finished": (610, 120)}
    for name, (x, y) in boxes.items():
        figure.box(x, y, 100, 44, name, "tinted" if name in {"queued", "leased"} else "box")
    figure.box(400, 236, 100, 44, "dead")
    figure.box(20, 236, 100, 44, "cancelled")
    figure.box(150, 236, 100, 44, "expired")
    figure.text(10, 132, "enqueue", "small", "start")
    figure.arrow([(10, 142), (150, 142)])
    figure.text(10, 32, "enqueue with delay", "small", "start")
    figure.arrow([(10, 42), (150, 42)])
    figure.arrow([(185, 64), (185, 120)])
    figure.text(180, 96, "time", "small", "end")
    figure.arrow([(250, 136), (400, 136)])
    figure.text(325, 128, "dequeue, at the rate", "small")
    figure.arrow([(400, 154), (250, 154)])
    figure.text(345, 172, "the lease ends", "small")
    figure.arrow([(450, 120), (450, 42), (250, 42)])
    figure.text(350, 32, "release, with a wait", "small")
    figure.arrow([(500, 142), (610, 142)])
    figure.text(555, 132, "finish", "small")
    figure.arrow([(450, 164), (450, 236)])
    figure.text(460, 205, "the last attempt failed", "small", "start")
    figure.arrow([(200, 164), (200, 236)])
    figure.text(206, 226, "its expiry", "small", "start")
    figure.arrow([(170, 164), (170, 198), (70, 198), (70, 236)])
    figure.text(75, 190, "cancel", "small", "start")
    figure.arrow([(400, 268), (290, 268), (290, 198), (242, 198), (242, 164)], "line dashed")
    figure.text(318, 290, "redrive, by a person", "small", "start")
    return figure


def leases_s(burst: float) -> list[float]:
    """Return when the jobs of the arrivals are leased, at two a second and with a burst, in s."""
    sharq = FakeSharq()
    start_ms = sharq.now_ms
    for arrival_s in _ARRIVALS_S:
        job = {"queue_type": "sms", "queue_id": "acme", "payload": 1, "rate": "2/s", "burst": burst}
        sharq.client().enqueue({**job, "delay": round(arrival_s * 1000)})
    worker = Worker(sharq.async_client(), "sms", lambda _: None)
    return [(delivery.time_ms - start_ms) / 1000 for delivery in sharq.run(worker)]


def rate() -> Figure:
    """Draw spiky arrivals, and the even leases that they become."""
    figure = Figure(
        720,
        212,
        "Jobs arrive in spikes and leave evenly, two a second; a burst of 3 lets three leave at once",
    )
    rows: list[tuple[str, list[float], str]] = [
        ("they arrive", list(_ARRIVALS_S), "two"),
        ("burst 1: every 500 ms", leases_s(1), "one"),
        ("burst 3: three at once", leases_s(3), "one"),
    ]
    for number, (words, times, kind) in enumerate(rows):
        y = 48 + 62 * number
        figure.text(10, y, words, "small", "start")
        figure.path([(175, y + 8), (710, y + 8)])
        seen: Counter[float] = Counter()
        for time in times:
            place = seen[time]
            seen[time] += 1
            figure.dot(175 + time * 70, y - 1 - 6 * place, kind, 4)
    for second in range(8):
        figure.text(175 + second * 70, 208, f"{second} s", "small")
    return figure


def gathered() -> Figure:
    """Draw three customers of one carrier: each has a rate of its own, and all of them share a limit."""
    figure = Figure(720, 230, "Three queues with rates of their own share one limit of their gathered type")
    for number, (name, words, jobs) in enumerate(
        [("acme", "5/s", 9), ("globex", "20/s", 6), ("initech", "any rate", 3)]
    ):
        y = 26 + 64 * number
        figure.box(20, y, 240, 46)
        for job in range(jobs):
            figure.dot(240 - 15 * job, y + 23, "two", 5)
        figure.text(34, y + 28, name, "strong", "start")
        figure.arrow([(260, y + 23), (330, y + 23), (330, 113), (400, 113)])
        figure.text(268, y + 17, words, "small", "start")
    figure.box(400, 84, 150, 58, "", "tinted")
    figure.text(475, 108, "type sms~skytel", "strong")
    figure.text(475, 128, "40/s for all", "small")
    figure.arrow([(550, 113), (610, 113)])
    figure.box(610, 90, 96, 46, "workers")
    figure.text(475, 166, "They take turns: one job each,", "small")
    figure.text(475, 184, "or as many as the weight says.", "small")
    return figure


def partitions() -> Figure:
    """Draw the way from a queue to its partition, and from there to a shard and a server of the store."""
    figure = Figure(720, 286, "A queue belongs to a partition for ever; a ring gives partitions to shards")
    ring = Ring.build(1, frozenset("ABC"), 64)
    for number, queue in enumerate(["hooli", "acme", "bolt"]):
        y = 20 + 44 * number
        partition = partition_of("sms", queue, 64)
        owner = "ABC".index(ring.owners[partition])
        figure.box(10, y, 130, 34, f"sms, {queue}")
        figure.arrow([(140, y + 17), (270, y + 17)])
        figure.box(270, y, 130, 34, f"partition {partition}", "tinted")
        middle = 475 + 12 * number
        figure.arrow([(400, y + 17), (middle, y + 17), (middle, 37 + 44 * owner), (560, 37 + 44 * owner)])
    figure.text(205, 166, "crc32 % 64, for ever", "small")
    figure.text(470, 166, "the ring, as shards", "small")
    figure.text(470, 183, "come and go", "small")
    for number, shard in enumerate("ABC"):
        count = len(ring.owned_by(shard))
        figure.box(560, 20 + 44 * number, 150, 34, f"shard {shard}: {count} of 64")
    figure.arrow([(635, 142), (635, 216)])
    figure.arrow([(335, 142), (335, 216)], "line dashed")
    figure.box(10, 216, 700, 50)
    figure.text(
        360, 238, "store: all jobs, rates and leases; each step is one atomic call in one partition", "strong"
    )
    figure.text(360, 257, "one Redis or Valkey server, a Sentinel group, or a Redis Cluster", "small")
    return figure


def lease() -> Figure:
    """Draw a worker that dies with a job, and the next worker that gets the job."""
    figure = Figure(720, 190, "A worker dies, its lease ends, and the job goes to the next worker")
    for y, name in ((50, "worker 1"), (116, "worker 2")):
        figure.text(10, y + 5, name, "small strong", "start")
        figure.path([(90, y), (710, y)])
    figure.bar(120, 40, 80, 20, "one")
    figure.text(120, 30, "dequeue", "small", "start")
    figure.text(206, 55, "x", "strong")
    figure.text(206, 82, "dies", "small")
    figure.path([(200, 50), (420, 50)], "one-line dashed")
    figure.path([(420, 30), (420, 70)])
    figure.text(420, 22, "the lease ends (60 s)", "small")
    figure.arrow([(420, 70), (420, 100)])
    figure.bar(420, 106, 120, 20, "one")
    figure.text(428, 144, "the job again, attempt 2", "small", "start")
    figure.text(552, 100, "finish", "small", "start")
    figure.arrow([(540, 116), (580, 116)])
    figure.arrow([(640, 92), (640, 58)])
    figure.text(640, 20, "a late finish:", "small")
    figure.text(640, 38, "409, no harm", "small")
    figure.text(120, 178, "time", "small", "start")
    figure.arrow([(155, 173), (260, 173)])
    return figure


FIGURES = {"job-life": job_life, "rate": rate, "gathered": gathered, "partitions": partitions, "lease": lease}


def main(folder: Path = IMAGES) -> None:
    """Write every drawing into a folder."""
    folder.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        (folder / f"{name}.svg").write_text(draw().svg())


if __name__ == "__main__":
    main()
