"""Puts a bounded load on a server, and says what it did."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.output import BAD, GOOD
from sharq_client.cli.parameters import Yes, read
from sharq_client.cli.session import Session
from sharq_client.cli.times import duration_ms

if TYPE_CHECKING:
    from sharq_client.cli.bench.figures import Figures, Throughput

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_TYPES_LOOKED_AT = 1_000


def bench(
    session: Session,
    *,
    customers: Annotated[int, typer.Option(min=1, max=10_000, metavar="NUMBER", help="Queues.")] = 50,
    jobs: Annotated[int, typer.Option(min=1, max=1_000_000, metavar="NUMBER", help="Most jobs.")] = 10_000,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1_000, metavar="NUMBER", help="Calls in flight.")
    ] = 32,
    duration: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="Time for all, up to 10m.")
    ] = "15s",
    batch: Annotated[
        int,
        typer.Option(min=1, max=1_000, metavar="NUMBER", help="Jobs of one call; 1 uses the single calls."),
    ] = 1,
    payload: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="BYTES", help="Length of a payload.")
    ] = 100,
    rate: Annotated[
        float,
        typer.Option(min=0.1, max=1_000, metavar="PER_SECOND", help="Rate of each customer at the end."),
    ] = 10,
    yes: Yes = False,
) -> None:
    """Measure a server: enqueues and whole jobs a second, latencies, and the spacing of rates.

    It uses queue types of its own, bench-..., and removes them. A third of the time each goes to enqueueing, to leasing
    and finishing, and to customers with a rate. A server that others may use is left alone without --yes: one on
    another machine, or one with jobs. The client runs in one process, which is often the limit.

    Examples:
      sharq bench
      sharq bench --customers 500 --concurrency 64 --batch 100 --for 30s
      sharq bench --url http://10.0.0.5:8080 --for 1m --yes --json
    """
    from sharq_client.cli.bench.figures import Plan  # noqa: PLC0415 - help does without it
    from sharq_client.cli.bench.run import run_load  # noqa: PLC0415

    seconds = read("--for", duration_ms, duration) / 1000
    if not 1 <= seconds <= 600:
        raise ValueError("--for: expected 1s to 10m")
    if not yes:
        _leave_others_alone(session)
    plan = Plan(
        customers=customers, jobs=jobs, concurrency=concurrency, seconds=seconds, batch=batch,
        payload_bytes=payload, rate_per_s=rate,
    )  # fmt: skip
    figures = run_load(session, plan)
    if session.output.is_json:
        session.output.document(figures)
    else:
        _write(session, figures)
    if not figures.spacing.is_kept:
        raise Failed("a lease came before its time")


def _leave_others_alone(session: Session) -> None:
    """Raise Failed if others may use the server."""
    reasons = list(_reasons_to_ask(session))
    if reasons:
        raise Failed(
            f"{session.url} looks like a server that others use: {'; '.join(reasons)}. Add --yes to go on",
            Exit.USAGE,
        )


def _reasons_to_ask(session: Session) -> Iterator[str]:
    """Yield why the server may be one that others use."""
    from sharq_client.cli.bench.load import PREFIX  # noqa: PLC0415 - help does without it

    hosts = {urlsplit(url).hostname for url in session.urls}
    if not hosts <= _LOOPBACK:
        yield "it is not on this machine"
    with session.client() as client:
        rows = islice(client.control.types(), _TYPES_LOOKED_AT)
        busy = [
            row
            for row in rows
            if row.queued + row.delayed + row.leased and not row.queue_type.startswith(PREFIX)
        ]
    if busy:
        yield f"it has jobs of {len(busy)} types, such as {busy[0].queue_type}"


def _write(session: Session, figures: Figures) -> None:
    spacing = figures.spacing
    smallest = "-" if spacing.smallest_ms is None else f"{spacing.smallest_ms:g} ms"
    kept = f"{smallest} at least, {spacing.interval_ms:g} ms promised", GOOD if spacing.is_kept else BAD
    delivered = f"{spacing.delivered:,} of {spacing.promised:,} leases"
    session.output.facts(
        [
            ("enqueues", _in_words(figures.enqueue)),
            ("whole jobs", _in_words(figures.whole)),
            ("spacing", kept),
            ("delivered", f"{delivered}, {spacing.customers} customers at {spacing.rate}"),
            ("errors", (f"{figures.errors:,}", BAD) if figures.errors else None),
        ]
    )


def _in_words(result: Throughput) -> str:
    latencies = [
        f"{name} p50 {call.p50_ms:g} ms, p99 {call.p99_ms:g} ms" for name, call in result.latencies.items()
    ]
    return "; ".join([f"{result.per_s:,.0f}/s ({result.jobs:,} in {result.seconds:.1f} s)", *latencies])
