"""Pauses, holds and resumes queues, types and everything."""

from __future__ import annotations

from typing import Annotated

import typer

from sharq_client.cli.commands.queues import no_queue
from sharq_client.cli.exits import wrong_usage
from sharq_client.cli.parameters import (
    OptionalQueue,
    OptionalType,
    QueueId,
    QueueType,
    read_duration,
    read_time,
)
from sharq_client.cli.session import Session
from sharq_client.cli.times import moment

DONE = {"status": "success"}
"""The answer of the server to a change, for scripts."""


def pause(
    session: Session,
    queue_type: OptionalType = None,
    queue_id: OptionalQueue = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Pause everything on the server.")] = False,
) -> None:
    """Pause a queue, a whole type, or everything.

    It takes jobs and hands none out until sharq resume. Jobs that are leased may still be finished.

    Examples:
      sharq pause sms acme
      sharq pause sms
      sharq pause --all
    """
    _check_target(queue_type, everything=everything)
    with session.client() as client:
        if queue_type is None:
            client.control.pause_all()
        elif queue_id is None:
            client.control.pause_type(queue_type)
        elif not client.pause(queue_type, queue_id):
            raise no_queue(session, queue_type, queue_id)
    target = " ".join(name for name in (queue_type, queue_id) if name)
    _say(session, f"{target or 'Everything'} is paused. sharq resume {target or '--all'} ends that.")


def resume(
    session: Session,
    queue_type: OptionalType = None,
    queue_id: OptionalQueue = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="End the pause of everything.")] = False,
) -> None:
    """End the pause of a queue, a type or everything, or a hold.

    Each pause is ended by itself: a queue that is paused stays so when its type is resumed.

    Examples:
      sharq resume sms acme
      sharq resume sms
      sharq resume --all
    """
    _check_target(queue_type, everything=everything)
    with session.client() as client:
        if queue_type is None:
            client.control.resume_all()
            text = "The pause of everything has ended. Types and queues that are paused themselves stay so."
        elif queue_id is None:
            client.control.resume_type(queue_type)
            text = f"{queue_type} is resumed. Queues that are paused themselves stay so."
        elif client.resume(queue_type, queue_id):
            text = f"{queue_type} {queue_id} is resumed."
        else:
            raise no_queue(session, queue_type, queue_id)
    _say(session, text)


def hold(
    session: Session,
    queue_type: QueueType,
    queue_id: QueueId,
    duration: Annotated[
        str | None, typer.Argument(metavar="DURATION", help="Such as 500ms, 30s, 5m or 2h.")
    ] = None,
    *,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="End instead, such as 18:30 or 2026-11-29T18:30, in local time."),
    ] = None,
) -> None:
    """Hold a queue for a time, after which it goes on by itself.

    It takes jobs and hands none out for up to 24 hours. A hold only grows: a shorter one changes nothing. sharq resume
    ends it at once.

    Examples:
      sharq hold sms acme 30s
      sharq hold sms acme --until 18:30
    """
    if (duration is None) == (until is None):
        raise wrong_usage("expected DURATION, such as 30s, or --until")
    for_ms, until_ms = read_duration("DURATION", duration), read_time("--until", until)
    with session.client() as client:
        is_held = client.control.hold(queue_type, queue_id, for_ms=for_ms, until_ms=until_ms)
        stats = client.queue(queue_type, queue_id) if is_held else None
    if stats is None:
        raise no_queue(session, queue_type, queue_id)
    if session.output.is_json:
        session.output.document(stats)
        return
    end = "no longer" if stats.held_until is None else f"until {moment(stats.held_until)}"
    session.output.line(f"{queue_type} {queue_id} is held {end}.")


def _check_target(queue_type: str | None, *, everything: bool) -> None:
    if (queue_type is None) != everything:
        raise wrong_usage("expected TYPE, TYPE QUEUE, or --all")


def _say(session: Session, text: str) -> None:
    if session.output.is_json:
        session.output.document(DONE)
        return
    session.output.line(text)
