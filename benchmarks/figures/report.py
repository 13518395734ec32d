"""Reports a benchmark's numbers beside their goals and peers, as text for a terminal, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from benchmarks.figures.curve import Curve
from benchmarks.figures.machine import Machine
from benchmarks.figures.plot import draw
from benchmarks.figures.spread import Spread

RESULTS = Path(__file__).parents[1] / "results"

_COLUMNS = ("what", "measured", "unit", "goal", "met", "peer", "ratio")

Cell: TypeAlias = str | float


class Goal(msgspec.Struct, frozen=True):
    """A bound in the row's unit; is_least: the measured median shall not be below it, else not above."""

    value: float
    is_least: bool

    def is_met(self, measured: Spread) -> bool:
        """Return True if the median keeps the bound."""
        return measured.median >= self.value if self.is_least else measured.median <= self.value


class Peer(msgspec.Struct, frozen=True):
    """The figure of another system.

    Attributes:
        value: in the row's unit; or why there is none ("not run: npm is missing").
        is_same_run: measured beside ours, on this machine; else a figure of another day, on such a machine.
    """

    name: str
    value: float | str
    is_same_run: bool


class Row(msgspec.Struct, frozen=True):
    """One number and what it is held against; measured is the reason as text where there is no number.

    Attributes:
        busy: the share of a core of each process while it was measured, which tells what bounded a goal that misses.
    """

    what: str
    unit: str
    measured: Spread | str
    goal: Goal | None = None
    peer: Peer | None = None
    busy: dict[str, float] = {}

    @property
    def is_met(self) -> bool | None:
        """None without a goal or a number."""
        if self.goal is None or isinstance(self.measured, str):
            return None
        return self.goal.is_met(self.measured)

    @property
    def ratio(self) -> float | None:
        """Measured over the peer's; None if either has no number."""
        if self.peer is None or isinstance(self.peer.value, str) or isinstance(self.measured, str):
            return None
        return self.measured.median / self.peer.value if self.peer.value else None


class Grid(msgspec.Struct, frozen=True):
    """Numbers behind the rows, for reading: each row as long as the columns."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]


class Report(msgspec.Struct, frozen=True):
    """One benchmark's outcome.

    Attributes:
        name: as it is called on the command line; the results file's name.
        question: what the numbers answer, a sentence.
        parameters: what was run, by name.
        notes: what a reader must know to judge the numbers, sentences.
    """

    name: str
    question: str
    parameters: dict[str, str]
    rows: list[Row]
    grids: list[Grid] = []
    curves: list[Curve] = []
    notes: list[str] = []


class Result(msgspec.Struct, frozen=True):
    """A report and what it was measured on: the content of a results file."""

    machine: Machine
    report: Report


def to_markdown(report: Report, machine: Machine) -> str:
    """Return the whole report as a Markdown page."""
    parts = [
        f"# {report.name}",
        report.question,
        table(_COLUMNS, [_cells(row) for row in report.rows]),
        _bullets("What bounded the goals that missed", _bounds(report.rows)),
        *(f"## {grid.title}\n\n{table(grid.columns, grid.rows)}" for grid in report.grids),
        _bullets("Notes", report.notes),
        _bullets("Parameters", [f"{name}: {value}" for name, value in report.parameters.items()]),
        _bullets("Machine", _machine_lines(machine)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def save(report: Report, machine: Machine, directory: Path = RESULTS) -> list[Path]:
    """Write `<name>.md`, `<name>.json` and a plot of each curve, over those of an earlier run and return all.

    Raises:
        NotRun: matplotlib is missing and there is a curve; the text is written all the same.
    """
    directory.mkdir(exist_ok=True)
    page, data = directory / f"{report.name}.md", directory / f"{report.name}.json"
    page.write_text(to_markdown(report, machine), encoding="utf-8")
    data.write_bytes(msgspec.json.format(msgspec.json.encode(Result(machine, report)), indent=1) + b"\n")
    names = [plot_name(report, index) for index in range(len(report.curves))]
    for name, curve in zip(names, report.curves, strict=True):
        draw(curve, directory / name)
    return [page, data, *(directory / name for name in names)]


def plot_name(report: Report, index: int) -> str:
    """Return the file of a report's curve: `<name>.svg`, and `<name>-2.svg` for the second."""
    return f"{report.name}{f'-{index + 1}' if index else ''}.svg"


def number(value: float) -> str:
    """Return three significant digits, whole from 1,000 on: `0.0123`, `4.56`, `78.9`, `12,345`."""
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def share(value: float) -> str:
    """Return a number near 1 with four digits, because three would hide the difference."""
    return f"{value:.4f}" if 0.9 <= value < 1.1 else number(value)


def measured_text(row: Row) -> str:
    """Return median, and least and greatest of several runs; the reason where there is no number."""
    if isinstance(row.measured, str):
        return row.measured
    spread = row.measured
    text = share if row.unit == "share" else number
    if spread.runs == 1:
        return text(spread.median)
    return f"{text(spread.median)} ({text(spread.low)}–{text(spread.high)}, {spread.runs} runs)"  # noqa: RUF001


def goal_text(goal: Goal | None) -> str:
    """`≥ 15,000`; empty for none."""
    return "" if goal is None else f"{'≥' if goal.is_least else '≤'} {goal.value:,g}"


def busy_text(shares: Mapping[str, float]) -> str:
    """Return `server 0.98, store 0.41, load 0.55 of a core`; empty for none."""
    return f"{', '.join(f'{name} {value:.2f}' for name, value in shares.items())} of a core" if shares else ""


def table(columns: Sequence[str], rows: Sequence[tuple[Cell, ...]]) -> str:
    """Return a Markdown table; empty without rows."""
    if not rows:
        return ""
    lines = [columns, ["---"] * len(columns), *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Row) -> tuple[Cell, ...]:
    met = {None: "", True: "yes", False: "no"}[row.is_met]
    return (
        row.what,
        measured_text(row),
        row.unit,
        goal_text(row.goal),
        met,
        _peer(row.peer),
        _ratio(row.ratio),
    )


def _peer(peer: Peer | None) -> str:
    if peer is None:
        return ""
    value = peer.value if isinstance(peer.value, str) else number(peer.value)
    return f"{peer.name}: {value}" + ("" if peer.is_same_run else " (another day)")


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else number(ratio)


def _text(cell: Cell) -> str:
    return " ".join(cell.split()).replace("|", "\\|") if isinstance(cell, str) else number(cell)


def _bullets(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {line}" for line in lines)]) if lines else ""


def _bounds(rows: Sequence[Row]) -> list[str]:
    return [f"{row.what}: {busy_text(row.busy)}" for row in rows if row.is_met is False and row.busy]


def _machine_lines(machine: Machine) -> list[str]:
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    return [
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB; everything ran on it",
        f"{machine.kernel}, {machine.python}; {versions}",
        f"{machine.date}, load at the start {machine.load}",
    ]
