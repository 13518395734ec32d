"""Changes the rate of a queue."""

from __future__ import annotations

from typing import Annotated

import typer

from sharq_client.cli.commands.queues import no_queue, rate_of
from sharq_client.cli.exits import wrong_usage
from sharq_client.cli.parameters import QueueId, QueueType, read_duration
from sharq_client.cli.session import Session

UNLIMITED = "unlimited"


def rate(
    session: Session,
    queue_type: QueueType,
    queue_id: QueueId,
    rate: Annotated[
        str | None,
        typer.Argument(metavar="RATE", help="40/s, 90/min, 2000/h, 10000/day or unlimited."),
    ] = None,
    *,
    interval: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Least time between two leases, such as 25ms, instead of RATE."
        ),
    ] = None,
    burst: Annotated[
        float | None, typer.Option(help="Most leases back to back when the queue is late, 1 or more.")
    ] = None,
    pin: Annotated[
        bool | None,
        typer.Option(
            "--pin/--no-pin",
            help="Keep enqueues from changing the rate, and create the queue if need be; or end that.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Change the rate of a queue at once.

    Jobs that carry a rate of their own change it again, unless it is pinned.

    Examples:
      sharq rate sms acme 40/s
      sharq rate sms acme 90/min --burst 1.1 --pin
      sharq rate sms acme --interval 25ms
      sharq rate sms acme unlimited
    """
    if (rate is None) == (interval is None):
        raise wrong_usage("expected RATE, such as 40/s, or --interval")
    interval_ms = 0.0 if rate == UNLIMITED else read_duration("--interval", interval)
    given_rate = None if rate == UNLIMITED else rate
    with session.client() as client:
        is_done = client.set_interval(
            queue_type, queue_id, interval_ms, rate=given_rate, burst=burst, pin=pin
        )
        stats = client.queue(queue_type, queue_id) if is_done else None
    if stats is None:
        failure = no_queue(session, queue_type, queue_id)
        failure.message += ". --pin creates it with this rate"
        raise failure
    if session.output.is_json:
        session.output.document(stats)
        return
    session.output.line(f"{queue_type} {queue_id} has the rate {rate_of(stats)}.")
