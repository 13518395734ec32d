"""The types of the fields about named caps: their names, the caps of a queue, and the holds that workers report."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from router.api.fields import CAP_MEANING, CAP_NAME_PATTERN, CAP_NAME_WORDS, MAX_CAP_NAME, Expected
from router.api.limits import MAX_HOLD_MS
from sharq_core.caps import MAX_CAPS
from sharq_core.limits import BlockedBy

_hold = Meta(ge=0, le=MAX_HOLD_MS)

CapName: TypeAlias = Annotated[
    str,
    Meta(pattern=CAP_NAME_PATTERN, max_length=MAX_CAP_NAME, description=CAP_MEANING),
    Expected(f"a string: {CAP_NAME_WORDS}"),
]
_names = Expected(f"a list with the names of up to {MAX_CAPS} caps, each {CAP_NAME_WORDS}")
Caps: TypeAlias = Annotated[
    list[CapName],
    Meta(
        max_length=MAX_CAPS,
        description=f"The names of up to {MAX_CAPS} caps that the queue shares with other queues, of any types. Each "
        "lease takes a slot of each of them. An empty list ends that. If it is absent, the caps of the queue stay as "
        "they are (none for a new queue). A cap that does not exist stops the queue until it does.",
    ),
    _names,
]
DefaultCaps: TypeAlias = Annotated[
    list[CapName],
    Meta(
        max_length=MAX_CAPS,
        description=f"The names of up to {MAX_CAPS} caps that the queue shares with other queues, of any types, which "
        "enqueues then do not change. An empty list clears them, as null does.",
    ),
    _names,
]
HeldCap: TypeAlias = Annotated[
    str,
    Meta(
        pattern=CAP_NAME_PATTERN,
        max_length=MAX_CAP_NAME,
        description=f"The name of the cap to hold: 1 to {MAX_CAP_NAME} characters of `A-Z a-z 0-9 _ - . + @`.",
    ),
    Expected(f"the name of a cap, {CAP_NAME_WORDS}"),
]
HeldFor: TypeAlias = Annotated[
    Annotated[int, _hold] | Annotated[float, _hold],
    Meta(
        description=f"Time from now for which no queue with the cap gives a job, in milliseconds from 0 to "
        f"{MAX_HOLD_MS} (24 hours). A hold ends by itself and only grows."
    ),
    Expected(f"a number of milliseconds from 0 to {MAX_HOLD_MS} (24 hours)"),
]


class HoldCapBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hold of a cap: no queue with the cap gives a job for a time from now."""

    name: HeldCap
    ms: HeldFor


HoldCapField: TypeAlias = Annotated[
    HoldCapBody,
    Meta(
        description="Hold a cap that the queue shares with others, such as the account that a carrier throttles: no "
        "queue with the cap gives a job for `ms`. It is held once the request has succeeded. If there is no such cap, "
        "nothing is held."
    ),
    Expected("an object with the name of a cap and ms"),
]

_REASONS = "|".join(reason for reason in BlockedBy if reason is not BlockedBy.CAP)
Reason: TypeAlias = Annotated[
    str,
    Meta(pattern=rf"^({_REASONS}|cap:[A-Za-z0-9_\-.+@]{{1,{MAX_CAP_NAME}}})$"),
]
"""A reason why nothing is leased, as answers tell it: a word of BlockedBy, and for a cap with its name."""

CapReason: TypeAlias = Literal["hold", "max_leased", "rate"]
"""A reason why a cap allows no lease."""

REASONS_TEXT = (
    "One of "
    + ", ".join(f"`{reason}`" for reason in BlockedBy if reason is not BlockedBy.CAP)
    + ", or `cap:` and the name of a cap, such as `cap:acct17`."
)
