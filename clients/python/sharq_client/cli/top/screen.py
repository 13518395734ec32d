"""Draws one screen of `sharq top` from a reading."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from rich.text import Text

from sharq_client.answers import TypeRow
from sharq_client.cli.top.grid import TopColumn, lay_out
from sharq_client.cli.top.readings import TYPES_READ, Customer, Order, Reading
from sharq_client.cli.top.words import count, duration, reason, some

LATE_BELOW = 0.9
"""A customer with a ready job that gets less than this share of what it was promised is marked."""

LEFT_MS = 2_000
"""The time after which a ready job that no worker takes is marked."""

_WAITS_FOR_NOTHING = frozenset({"rate", "empty", "delayed", "type_rate"})
"""Reasons that are no concern: the rate itself, and that there is nothing to do."""


def _customer_columns(*, has_types: bool) -> list[TopColumn[Customer]]:
    type_column = (
        [TopColumn[Customer]("TYPE", lambda c: c.queue_type, rank=1, is_number=False, is_name=True)]
        if has_types
        else []
    )
    return [
        TopColumn("CUSTOMER", lambda c: c.row.queue_id, is_number=False, is_name=True),
        *type_column,
        TopColumn("QUEUED", lambda c: count(c.row.queued)),
        TopColumn("DELAYED", lambda c: some(c.row.delayed), rank=6),
        TopColumn("LEASED", lambda c: some(c.row.leased), rank=4),
        TopColumn("DEAD", lambda c: some(c.row.dead), rank=5, style=_red),
        TopColumn("RATE", lambda c: c.row.rate or "unlimited", rank=5),
        TopColumn("PROMISED", lambda c: "" if c.row.promised is None else count(c.row.promised), rank=2),
        TopColumn("DELIVERED", lambda c: count(c.row.delivered), rank=1),
        TopColumn("KEPT", _kept, rank=4, style=_kept_style),
        TopColumn("AGE", lambda c: duration(c.oldest_age), rank=3),
        TopColumn("NEXT IN", lambda c: duration(c.row.next_ready_in or None), rank=8),
        TopColumn(
            "BLOCKED BY",
            _why,
            rank=2,
            is_number=False,
            style=_customer_concern,
        ),
    ]


def _kept(customer: Customer) -> str:
    promised = customer.row.promised
    return f"{customer.row.delivered / promised:.0%}" if promised else ""


def _kept_style(customer: Customer) -> str:
    row = customer.row
    # What is promised counts jobs that came after the minute, too. A queue that its rate holds back now gets its rate.
    is_late = (
        row.promised is not None and row.blocked_by is None and row.delivered < LATE_BELOW * row.promised
    )
    return "bold red" if is_late else ""


def _concern(blocked_by: str | None) -> str:
    if blocked_by is None:
        return "green"
    return "" if blocked_by in _WAITS_FOR_NOTHING else "yellow"


def _type_concern(row: TypeRow) -> str:
    return _concern(row.blocked_by)


def _why(customer: Customer) -> str:
    waits = f" {duration(customer.due_for)}" if _is_left(customer) else ""
    return reason(customer.row.blocked_by) + waits


def _is_left(customer: Customer) -> bool:
    """Return True if a job is ready and no worker takes it."""
    return customer.row.blocked_by is None and (customer.due_for or 0) >= LEFT_MS


def _customer_concern(customer: Customer) -> str:
    return "bold red" if _is_left(customer) else _concern(customer.row.blocked_by)


def _red(_: object) -> str:
    return "red"


_TYPES = (
    TopColumn[TypeRow]("TYPE", lambda row: row.queue_type, is_number=False, is_name=True),
    TopColumn[TypeRow]("QUEUED", lambda row: count(row.queued)),
    TopColumn[TypeRow]("DELAYED", lambda row: some(row.delayed), rank=4),
    TopColumn[TypeRow]("LEASED", lambda row: some(row.leased), rank=1),
    TopColumn[TypeRow]("DEAD", lambda row: some(row.dead), rank=3, style=_red),
    TopColumn[TypeRow]("IN/MIN", lambda row: count(row.enqueued), rank=2),
    TopColumn[TypeRow]("OUT/MIN", lambda row: count(row.delivered), rank=2),
    TopColumn[TypeRow](
        "BLOCKED BY",
        lambda row: reason(row.blocked_by),
        rank=1,
        is_number=False,
        style=_type_concern,
    ),
)


class View(msgspec.Struct):
    """The content of the screen.

    Attributes:
        url: the URL of the server.
        queue_type: the only type that is shown; None for all.
        order: the order of the customers.
        reading: the latest reading; None before the first.
        trouble: the reason why the server cannot be asked now; empty while it can.
    """

    url: str
    queue_type: str | None
    order: Order
    reading: Reading | None = None
    trouble: str = ""


def draw(view: View, width: int, height: int) -> list[Text]:
    """Return the lines of the screen: as many as the height."""
    lines = [_head(view, width)]
    if view.trouble:
        lines.append(_trouble(view, width))
    lines.append(Text())
    if view.reading is None:
        lines.append(Text("" if view.trouble else "asking the server ..."))
    else:
        most_types = max((height - 6) // 3, 1)
        room = height - len(lines) - 2
        body = tables(view.reading, width, most_types, room, has_types=view.queue_type is None)
        if view.trouble:
            for line in body:
                line.stylize("dim")
        lines += body
    lines += [Text()] * (height - len(lines) - 1)
    return [*lines[: height - 1], _foot(view, width)]


def tables(reading: Reading, width: int, most_types: int, most_lines: int, *, has_types: bool) -> list[Text]:
    """Return the lines of the two tables, the types and the customers.

    Args:
        most_lines: the most lines of both tables together.
        has_types: True if the customers may be of several types.
    """
    if not reading.types and not reading.customers:
        return [Text("there are no jobs" if has_types else "there are no jobs of this type")]
    shown = reading.types[:most_types]
    lines = lay_out(_TYPES, shown, width) if shown else []
    hidden = [f"{len(reading.types) - len(shown):,} more types"] if len(reading.types) > len(shown) else []
    if reading.has_more_types:
        hidden.append(f"only the first {TYPES_READ} types by name are read")
    if hidden:
        lines.append(Text("; ".join(hidden)[:width], "dim"))
    customers = reading.customers[: max(most_lines - len(lines) - 2, 0)]
    if customers:
        columns = _customer_columns(has_types=has_types and len(reading.types) > 1)
        lines += [Text(), *lay_out(columns, customers, width)]
    return lines


def _head(view: View, width: int) -> Text:
    reading = view.reading
    line = Text(no_wrap=True)
    line.append("sharq top ", "bold")
    if reading is not None:
        totals = reading.types
        line.append(time.strftime("%H:%M:%S  ", time.localtime(reading.read_at_s)))
        line.append(f"{_sum(totals, 'queued')} queued  ", "bold")
        line.append(f"{_sum(totals, 'leased')} leased  ")
        dead = sum(row.dead for row in totals)
        if dead:
            line.append(f"{count(dead)} dead  ", "red")
    line.append(view.url, "dim")
    line.truncate(width, overflow="ellipsis")
    return line


def _sum(rows: Sequence[TypeRow], field: str) -> str:
    return count(sum(getattr(row, field) for row in rows))


def _trouble(view: View, width: int) -> Text:
    old = ""
    if view.reading is not None:
        old = f"numbers of {duration((time.time() - view.reading.read_at_s) * 1_000)} ago, "
    line = Text(f" {old}trying again: {view.trouble} ", "bold white on red", no_wrap=True)
    line.truncate(width, overflow="ellipsis")
    return line


def _foot(view: View, width: int) -> Text:
    other = "a by age" if view.order == "depth" else "d by backlog"
    text = f"q quit  {other}  promised, delivered: of the last full minute"
    return Text(text[:width], "dim", no_wrap=True)
