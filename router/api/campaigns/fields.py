"""The types of the fields about campaigns: windows and batches of jobs, and the windows of queues and types.

Not here: the other fields (router/api/fields.py), and the rules (sharq_core/scheduler/lua).
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from router.api.fields import Expected
from sharq_core.models import IDENTIFIER_PATTERN

_name = Meta(pattern=IDENTIFIER_PATTERN + r"(?!\n)", max_length=100)
_NAME_TEXT = "1 to 100 characters of A-Z a-z 0-9 _ - . + @"

WindowName: TypeAlias = Annotated[
    str,
    _name,
    Meta(
        description="The name of the window outside of which the job is not leased, as that of its recipient. It "
        "waits, keeps its place and uses no slot of the rate. The windows of its queue and of its gathered type hold "
        f"it back, too. {_NAME_TEXT[0].upper()}{_NAME_TEXT[1:]}."
    ),
    Expected(f"the name of a window, {_NAME_TEXT}"),
]
IgnoreWindow: TypeAlias = Annotated[
    bool,
    Meta(
        description="True lets the job leave outside of all windows: its own, that of its queue and that of its "
        "gathered type, as a one-time code may."
    ),
    Expected("true or false"),
]
BatchId: TypeAlias = Annotated[
    str,
    _name,
    Meta(
        description="The batch that counts the job, such as a campaign: all jobs of the type with this batch, in any "
        f"queue. {_NAME_TEXT[0].upper()}{_NAME_TEXT[1:]}."
    ),
    Expected(f"the id of a batch, {_NAME_TEXT}"),
]
DefaultWindow: TypeAlias = Annotated[
    str,
    _name,
    Meta(
        description="The name of the window outside of which no job is leased, except those that ignore windows. Jobs "
        "with a window of their own wait until both are open."
    ),
    Expected(f"the name of a window, {_NAME_TEXT}"),
]
