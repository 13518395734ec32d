"""Shows one queue, and the queues of a type."""

from __future__ import annotations

from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.parameters import QueueId, QueueType
from sharq_client.cli.session import Session


def queue(session: Session, queue_type: QueueType, queue_id: QueueId) -> None:
    """Show the state of a queue.

    Examples:
      sharq queue sms acme
      sharq queue sms acme --json
    """
    with session.client() as client:
        stats = client.queue(queue_type, queue_id)
    if stats is None:
        raise Failed(f"there is no queue {queue_type} {queue_id} at {session.url}", Exit.NOT_FOUND)
    if session.output.is_json:
        session.output.document(stats)
        return
    session.output.line(f"{queue_type} {queue_id}: {stats.queued} queued, {stats.leased} leased")
