"""Shows how far a batch is."""

from __future__ import annotations

from typing import Annotated

import typer

from sharq_client.campaigns.batches import BatchStatus
from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.output import BAD
from sharq_client.cli.parameters import QueueType
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column


def batch(
    session: Session,
    queue_type: QueueType,
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch.")],
) -> None:
    """Show how many jobs of a batch are in which state.

    A batch counts the jobs of a campaign, say, over all queues of a type. sharq cancel TYPE --batch BATCH cancels it.

    Examples:
      sharq batch sms spring-sale
      sharq batch sms spring-sale --json | jq .finished
    """
    with session.client() as client:
        status = client.jobs.batch(queue_type, batch)
    if status is None:
        raise Failed(f"there is no batch {batch} of the type {queue_type} at {session.url}", Exit.NOT_FOUND)
    if session.output.is_json:
        session.output.document(status)
    else:
        _show(session, f"{queue_type} {batch}", status)
    if status.unread_partitions:
        numbers = ", ".join(map(str, status.unread_partitions))
        raise Failed(
            f"the numbers are without partition {numbers}: the data there is broken; see the log of the shard"
        )


def _show(session: Session, title: str, status: BatchStatus) -> None:
    """Print the numbers of a batch."""
    ended = status.finished + status.dead + status.cancelled
    share = f"{100 * ended // status.total} %" if status.total else "0 %"
    session.output.line(title, "bold")
    session.output.line(f"{ended} of {status.total} jobs have ended ({share}).")
    states = ("queued", "delayed", "leased", "finished", "dead", "cancelled")
    numbers = [str(getattr(status, state)) for state in states]
    session.output.table(
        [Column(state, is_number=True) for state in states],
        [
            [
                (number, BAD if state == "dead" and number != "0" else "")
                for state, number in zip(states, numbers, strict=True)
            ]
        ],
    )
