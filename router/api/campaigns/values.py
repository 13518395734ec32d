"""Turns the fields of an enqueue about campaigns into values.

Not here: the ranges of the fields (router/api/campaigns/fields.py).
"""

from __future__ import annotations

from msgspec import UnsetType, structs

from router.api.request_shapes import EnqueueBody, EnqueueEntry
from sharq_core.models import NewJob


def with_campaign(job: NewJob, form: EnqueueBody | EnqueueEntry) -> NewJob:
    """Return a new job with the window and the batch that its form gives it."""
    return structs.replace(
        job,
        window=None if isinstance(form.window, UnsetType) else form.window,
        ignores_window=form.ignore_window,
        batch=None if isinstance(form.batch, UnsetType) else form.batch,
    )
