"""Shows the run: a live table in a terminal, otherwise one plain line a second, and the summary at the end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.demo.checks import Finding, smallest_spacing_ms
from deploy.demo.customers import SEND_S
from deploy.demo.ledger import Account, Ledger

WIDTH = 100
REFRESH_S = 0.25
LINE_S = 1.0

EVENTS = 4
"""Number of latest events shown above the table, which must fit a small terminal."""

SPACING = ("spacing/ms", "interval/ms")
"""Headings of the smallest time between leases, and of what it is held against."""

INTRODUCTION = (
    "29 customers send SMS. Each has a queue, and each queue a promised rate:"
    " however much a customer sends, its messages leave evenly spaced at that rate, and nobody slows another"
    " down. Three of them share a carrier that takes 15 a second from all of them together.\n"
    "Three others have messages with a life of their own: some of [b]order-alerts[/b] go to nobody, fail, are tried"
    " again later and later, and are dead letters in the end; those of [b]flash-sale[/b] are worthless after 1.5 s; and"
    " the codes of [b]union-bank[/b] overtake its newsletter.\n"
    "Watch [b]ticket-rush[/b] (15 times its rate, in spikes), a worker that is killed with jobs in its hands,"
    " [b]harbor-pizza[/b], whose rate is raised while it runs, [b]all of skytel[/b], the cap of the carrier, and"
    " [b]all of acct17[/b], a named cap: the messages and the calls of one account together get 12 a second."
)

CLUSTER_INTRODUCTION = (
    "\nThey send through two routers of a cluster with three shards. In mid-run a {killed} is killed: nothing is"
    " lost, and nobody's rate changes."
)

LEGEND = (
    "sent/s, delivered/s: over the last 3 s. waiting: in the queue. spacing: the smallest time between two"
    " leases, by the store's clock, beside the interval that it may not fall below (customers from 8/s up"
    " have burst 2: from a lease to the second after it). back: leases of jobs that had been leased before."
    " dead: dead letters."
)


class Board:
    """Shows the run as it goes. `happened` adds a line to what is shown over the table."""

    def __init__(self, console: Console, ledger: Ledger) -> None:
        self._console = console
        self._ledger = ledger
        self._start_s = time.monotonic()
        self._events: list[str] = []
        self._live: Live | None = None

    @property
    def pause_s(self) -> float:
        """The time between two calls of show(), in seconds."""
        return REFRESH_S if self._console.is_terminal else LINE_S

    def start(self) -> None:
        """Count the time of the run from now."""
        self._start_s = time.monotonic()

    def happened(self, event: str) -> None:
        """Add an event, marked with the time, above the table."""
        line = f"{self._at_s():5.1f} s  {event}"
        self._events.append(line)
        if self._live is None:
            self._console.print(line)

    def show(self) -> None:
        """Bring the table up to date, or print one line."""
        if self._live is not None:
            self._live.update(self._screen(), refresh=True)
            return
        self._console.print(self._line())

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Show the live table during the block, if there is a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(
            self._screen(), console=self._console, auto_refresh=False, vertical_overflow="crop"
        ) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def _at_s(self) -> float:
        return time.monotonic() - self._start_s

    def _line(self) -> str:
        accounts = self._ledger.accounts.values()
        now_s = time.monotonic()
        return (
            f"{self._at_s():5.1f} s  sent {sum(len(a.acknowledged) for a in accounts):5,}"
            f"  delivered {sum(len(a.leases) for a in accounts):5,}"
            f"  ({sum(a.delivered_per_s(now_s) for a in accounts):3.0f}/s)"
            f"  finished {sum(len(a.finished) for a in accounts):5,}"
            f"  waiting {sum(a.waiting for a in accounts):5,}"
            f"  returned {sum(a.requeued for a in accounts):3,}"
        )

    def _screen(self) -> RenderableType:
        now_s = time.monotonic()
        table = _table(
            f"{min(self._at_s(), SEND_S):.0f} of {SEND_S:.0f} s",
            ["promised/s", "sent/s", "delivered/s", "waiting", *SPACING, "back", "dead"],
        )
        for account in self._ledger.rows():
            table.add_row(account.customer.name, *_live_cells(account, now_s))
        return Group(Text("\n".join(self._events[-EVENTS:])), table)


def _live_cells(account: Account, now_s: float) -> list[str]:
    leases = sorted(account.leases, key=lambda lease: lease.leased_at_ms)
    spacing_ms = smallest_spacing_ms(leases, account.customer.burst)
    return [
        f"{account.customer.share * 1000 / account.interval_ms:.0f}",
        f"{account.sent_per_s(now_s):.1f}",
        f"[b]{account.delivered_per_s(now_s):.1f}[/b]",
        f"{account.waiting}",
        "-" if spacing_ms is None else f"{spacing_ms:.0f}",
        f"{account.interval_ms:.1f}",
        f"{account.requeued or ''}",
        f"{account.dead or ''}",
    ]


def a_console() -> Console:
    """Return a console of at most 100 columns; exactly that many where there is no terminal."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console


def introduce(console: Console, killed_roles: Sequence[str]) -> None:
    """Print what the run will show, and what the columns mean.

    Args:
        killed_roles: of a cluster; none without one.
    """
    text = INTRODUCTION
    if killed_roles:
        text += CLUSTER_INTRODUCTION.format(killed=" and a ".join(killed_roles))
    console.print(Panel(text, title="SHARQ: a rate for every customer"))
    console.print(LEGEND, style="dim")


def summarize(console: Console, found: Sequence[Finding]) -> None:
    """Print the summary table."""
    table = _table(
        "Summary",
        ["promised", "delivered", "promised/s", "delivered/s", *SPACING, "requeued", "queued", "lost"],
    )
    for finding in found:
        style = "red" if finding.problems else ""
        table.add_row(finding.name, *_summary_cells(finding), style=style)
    console.print(table)


def list_dead(console: Console, found: Sequence[Finding]) -> None:
    """Print the table of dead letters by customer and reason, and the waits of a customer with urgent messages."""
    table = _table("Dead letters", ["reason", "count", "last error"])
    for finding in found:
        for row in finding.dead:
            table.add_row(finding.name, row.reason, f"{row.count}", row.error or "-")
    console.print(table)
    for finding in found:
        if finding.waits_s is not None:
            urgent_s, usual_s = finding.waits_s
            console.print(
                f"{finding.name}: an urgent message waited {urgent_s:.1f} s at most, another one {usual_s:.1f} s"
            )


def _summary_cells(finding: Finding) -> list[str]:
    over_s = finding.over_s or 1.0
    return [
        f"{finding.promised:.0f}",
        f"{finding.delivered}",
        f"{finding.promised / over_s:.1f}",
        f"{finding.delivered / over_s:.1f}",
        "-" if finding.spacing_ms is None else f"{finding.spacing_ms:.0f}",
        f"{finding.spacing_allowed_ms:.1f}",
        f"{finding.requeued}",
        f"{finding.waiting}",
        f"{finding.lost}",
    ]


def _table(title: str, columns: Sequence[str]) -> Table:
    """Return an empty table. A unit after a slash goes to a heading's second line, so that the table fits WIDTH."""
    table = Table(
        title=title, title_justify="left", header_style="bold", padding=(0, 1), pad_edge=False, box=None
    )
    table.add_column("customer", no_wrap=True)
    for column in columns:
        table.add_column(column.replace("/", "\n/"), justify="right", no_wrap=True)
    return table
