"""Turns the fields of an enqueue about campaigns into values."""

from __future__ import annotations

from msgspec import UnsetType, structs

from router.api.request_shapes import EnqueueBody, EnqueueEntry
from sharq_core.campaigns.windows import MOST_IN_QUEUE
from sharq_core.errors import InvalidRequest
from sharq_core.models import NewJob


def needs_rate(place: str = "", hint: str = "") -> InvalidRequest:
    """Return the error of a job that names no rate, for a queue that has none.

    Args:
        place: the path of its fields in the body, as `jobs[3].`; empty for the body itself.
        hint: appended to the message.
    """
    return InvalidRequest(f"{place}interval: required (or rate, such as 40/s), as this queue has none{hint}")


def unknown_window(name: object, place: str = "") -> InvalidRequest:
    """Return the error of a request that names a window which does not exist.

    Args:
        place: the path of its fields in the body, as `jobs[3].`; empty for the body itself.
    """
    return InvalidRequest(f"{place}window: there is no window {name}; create it first")


def too_many_windows(place: str = "") -> InvalidRequest:
    """Return the error of a job whose queue has waiting or leased jobs of as many windows as it may."""
    return InvalidRequest(
        f"{place}window: the queue has waiting or leased jobs of {MOST_IN_QUEUE} other windows, which is the maximum; "
        "jobs that ignore windows count as those of one"
    )


def with_campaign(job: NewJob, form: EnqueueBody | EnqueueEntry) -> NewJob:
    """Return a new job with the window and the batch that its request names."""
    return structs.replace(
        job,
        window=None if isinstance(form.window, UnsetType) else form.window,
        ignores_window=form.ignore_window,
        batch=None if isinstance(form.batch, UnsetType) else form.batch,
    )
