"""Lists dead letters, queues them again, or drops them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharq_client.answers import DeadLetter
from sharq_client.cli.confirmations import confirm
from sharq_client.cli.exits import Exit, Failed
from sharq_client.cli.output import BAD, Cell, bounded
from sharq_client.cli.parameters import Limit, OptionalJob, OptionalQueue, QueueType, Yes
from sharq_client.cli.session import Session
from sharq_client.cli.tables import Column
from sharq_client.cli.times import age
from sharq_client.errors import NotFound, SharqError
from sharq_client.requests import DeadRef

if TYPE_CHECKING:
    from sharq_client.sync.client import Client

CHUNK = 1_000
"""The dead letters of one call."""

_COLUMNS = (
    Column("queue"),
    Column("job"),
    Column("reason"),
    Column("attempts", is_number=True),
    Column("died", is_number=True),
    Column("error", is_cut=True, is_optional=True),
    Column("payload", is_cut=True),
)


def ls(
    session: Session, queue_type: QueueType, queue_id: OptionalQueue = None, *, limit: Limit = None
) -> None:
    """List the dead letters of a type or of a queue, the oldest first.

    Examples:
      sharq dead ls sms
      sharq dead ls sms acme --json | jq -r .error
    """
    with session.client() as client:
        letters = client.dead(queue_type, queue_id=queue_id)
        if session.output.is_json:
            session.output.documents(bounded(letters, limit))
            return
        shown = session.output.first_rows(letters, limit)
    if not shown:
        session.output.note(f"{_name(queue_type, queue_id)} has no dead letters.")
        return
    session.output.table(_COLUMNS, [_cells(letter) for letter in shown])


def retry(
    session: Session,
    queue_type: QueueType,
    queue_id: OptionalQueue = None,
    job_id: OptionalJob = None,
    *,
    yes: Yes = False,
) -> None:
    """Queue dead letters again, with attempts from 0.

    One job, those of a queue, or all of a type.

    Examples:
      sharq dead retry sms acme order-17
      sharq dead retry sms acme --yes
      sharq dead retry sms
    """
    if queue_id is not None and job_id is not None:
        with session.client() as client:
            client.jobs.redrive(queue_type, queue_id, job_id)
        _report(session, "redriven", 1)
        return
    confirm(f"Queue all dead letters of {_name(queue_type, queue_id)} again?", is_confirmed=yes)
    with session.client() as client:
        if queue_id is None:
            _report(session, "redriven", client.redrive(queue_type))
            return
        refs = _refs(client, queue_type, queue_id)
        redriven, refused = 0, list[SharqError]()
        for start in range(0, len(refs), CHUNK):
            answers = client.redrive_many(queue_type, refs[start : start + CHUNK])
            redriven += answers.count(None)
            # Somebody else has queued or dropped the letters that are not found any more.
            refused.extend(
                answer for answer in answers if answer is not None and not isinstance(answer, NotFound)
            )
    _report(session, "redriven", redriven)
    if refused:
        raise Failed(f"{len(refused)} dead letters are kept. The first reason: {refused[0].message}")


def drop(
    session: Session,
    queue_type: QueueType,
    queue_id: OptionalQueue = None,
    job_id: OptionalJob = None,
    *,
    yes: Yes = False,
) -> None:
    """Drop dead letters for good.

    One job, those of a queue, or all of a type.

    Examples:
      sharq dead drop sms acme order-17
      sharq dead drop sms acme --yes
      sharq dead drop sms
    """
    if queue_id is not None and job_id is not None:
        with session.client() as client:
            is_dropped = client.jobs.drop_dead_letter(queue_type, queue_id, job_id)
        if not is_dropped:
            name = f"{queue_type} {queue_id} {job_id}"
            raise Failed(f"there is no dead letter {name} at {session.url}", Exit.NOT_FOUND)
        _report(session, "dropped", 1)
        return
    confirm(f"Drop all dead letters of {_name(queue_type, queue_id)} for good?", is_confirmed=yes)
    with session.client() as client:
        if queue_id is None:
            dropped = client.drop_dead(queue_type)
        else:
            refs = _refs(client, queue_type, queue_id)
            parts = (refs[start : start + CHUNK] for start in range(0, len(refs), CHUNK))
            dropped = sum(client.drop_dead_many(queue_type, part) for part in parts)
    _report(session, "dropped", dropped)


def _refs(client: Client, queue_type: str, queue_id: str) -> list[DeadRef]:
    """Return the dead letters of a queue. They are listed before the first is taken away, so that none is missed."""
    return [DeadRef(letter.queue_id, letter.job_id) for letter in client.dead(queue_type, queue_id=queue_id)]


def _report(session: Session, field: str, count: int) -> None:
    if session.output.is_json:
        session.output.document({field: count})
        return
    what = {"redriven": "queued again", "dropped": "dropped"}[field]
    session.output.line(f"1 dead letter is {what}." if count == 1 else f"{count} dead letters are {what}.")


def _name(queue_type: str, queue_id: str | None) -> str:
    return queue_type if queue_id is None else f"{queue_type} {queue_id}"


def _cells(letter: DeadLetter) -> list[Cell]:
    return [
        letter.queue_id,
        letter.job_id,
        str(letter.reason),
        str(letter.attempt),
        age(letter.dead_at),
        (letter.error or "", BAD),
        bytes(letter.payload_json).decode(),
    ]
