"""Defines and parses the body of a call that drops named dead letters."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from router.api.decoding import Decoder
from router.api.fields import letters_expected, named_letters
from router.api.request_shapes import RedriveEntry
from sharq_core.job_life import DeadRef


class DropBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dead letters to drop."""

    jobs: Annotated[list[RedriveEntry], named_letters, letters_expected]


_DROP_BODY = Decoder(DropBody)


def dropped_letters(body: bytes, queue_type: str) -> list[DeadRef]:
    """Return the dead letters to drop; raise InvalidRequest if one of them is wrong."""
    return [DeadRef(queue_type, form.queue_id, form.job_id) for form in _DROP_BODY.from_json(body).jobs]
