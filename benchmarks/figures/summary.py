"""Makes the tables of measured figures that documents show, and updates them: the goals, and the bursts.

A goal whose benchmark gave no number has the reason instead. The goals are in benchmarks/figures/targets.py.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.errors import Spoiled
from benchmarks.figures.report import (
    RESULTS,
    Report,
    Result,
    Row,
    busy_text,
    goal_text,
    measured_text,
    number,
    share,
    table,
)
from benchmarks.figures.spread import Spread
from benchmarks.figures.targets import OWN_RAW, SINGLE_ENQUEUE, TARGETS, WHOLE_JOBS, Target

README = Path(__file__).parents[2] / "README.md"
GOALS_PAGE = Path(__file__).parents[2] / "docs" / "goals.md"
RATES_PAGE = Path(__file__).parents[2] / "docs" / "rates.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"

COVERED_MS = (2, 5, 10)
"""The times that the bursts of the table in RATES_PAGE cover, beside the bursts 1 and 2."""

_COLUMNS = ("benchmark", "what", "goal", "measured: median (least-greatest)", "of peer", "met")
_HEADLINE_COLUMNS = ("what", "measured", "goal", "met", "on")


class Line(msgspec.Struct, frozen=True):
    """One goal and its result.

    Attributes:
        row: None if there is none.
        reason: why there is no number; empty if there is one.
    """

    target: Target
    row: Row | None
    reason: str

    @property
    def is_met(self) -> bool:
        """True if the row's number keeps the goal of today: a saved result may have been held against another one."""
        measured = None if self.row is None else self.row.measured
        return isinstance(measured, Spread) and self.target.goal.is_met(measured)


def judge(
    reports: Iterable[Report], reasons: Mapping[str, str], targets: Sequence[Target] = TARGETS
) -> list[Line]:
    """Compare every goal with the reports.

    Args:
        reasons: by benchmark, why it gave no report.

    Returns:
        One line a target, in their order.
    """
    by_name = {report.name: report for report in reports}
    rows = {(name, row.what): row for name, report in by_name.items() for row in report.rows}
    return [
        _line(target, rows.get((target.benchmark, target.figure)), reasons, by_name) for target in targets
    ]


def to_markdown(lines: Sequence[Line], runs: Mapping[str, str] | None = None) -> str:
    """Return the goals as a table, and how many are met.

    Args:
        runs: by benchmark, when and on what it was measured, for a column of its own; None for no such column.
    """
    columns, rows = [*_COLUMNS], [_cells(line) for line in lines]
    if runs is not None:
        columns.append("measured on")
        days = ["" if line.reason else runs[line.target.benchmark] for line in lines]
        rows = [(*row, day) for row, day in zip(rows, days, strict=True)]
    return f"{table(columns, rows)}\n\n{_met_text(lines)}\n"


def load_results(directory: Path = RESULTS) -> list[Result]:
    """Return the results that `--save` wrote, by name."""
    return [msgspec.json.decode(path.read_bytes(), type=Result) for path in sorted(directory.glob("*.json"))]


def for_goals_page(results: Sequence[Result]) -> str:
    """Return the table of saved results, with their dates and machines; each row has its own if they differ."""
    lines = judge([result.report for result in results], {})
    return f"{_provenance(results)}\n\n{to_markdown(lines, _runs(results))}"


def for_readme(results: Sequence[Result]) -> str:
    """Return the rates of saved results, the goals that have a headline, and how many goals are met in all."""
    lines = judge([result.report for result in results], {})
    shown = [line for line in lines if line.target.headline]
    days = {result.report.name: _day(result) for result in results}
    rows = [_headline_cells(line, days) for line in shown]
    parts = [_rates_text(results), table(_HEADLINE_COLUMNS, rows), _met_text(lines)]
    return "\n\n".join(part for part in parts if part)


def for_rates_page(results: Sequence[Result]) -> str | None:
    """Return the table of the shares that rates delivered at bursts, with its date; None without that result."""
    found = [result for result in results if result.report.name == "burst" and result.report.grids]
    if not found:
        return None
    shares: dict[str, dict[int, str]] = {}
    for rate, burst, _, delivered in found[0].report.grids[0].rows:
        shares.setdefault(str(rate), {})[int(burst)] = f"{float(delivered):.2f}"
    columns = ("rate", "burst 1", "2", *(f"covers {covered} ms" for covered in COVERED_MS))
    rows = [_burst_cells(rate, by_burst) for rate, by_burst in shares.items()]
    return f"{_provenance(found)}\n\n{table(columns, rows)}"


def _burst_cells(rate: str, shares: Mapping[int, str]) -> tuple[str, ...]:
    per_second = int(rate.removesuffix("/s").replace(",", ""))
    bursts = [1 + math.ceil(per_second * covered / 1000) for covered in COVERED_MS]
    wide = [f"{shares[burst]} ({burst})" if burst in shares else "" for burst in bursts]
    return (rate, shares.get(1, ""), shares.get(2, ""), *wide)


def replace_in(path: Path, text: str) -> None:
    """Put text between the two marks of a document.

    Raises:
        Spoiled: the marks are not there, each once and in order; nothing is written.
    """
    content = path.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or content.count(BEGIN) + content.count(END) != 2:
        raise Spoiled(f"{path.name} does not have {BEGIN} and {END} once each, in this order")
    path.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}", encoding="utf-8")


def _line(target: Target, row: Row | None, reasons: Mapping[str, str], known: Container[str]) -> Line:
    if row is None:
        missing = "this run has no such figure" if target.benchmark in known else "not run"
        return Line(target, None, reasons.get(target.benchmark, missing))
    if row.unit != target.unit:
        return Line(target, None, f"this run measured it in {row.unit}")
    return Line(target, row, row.measured if isinstance(row.measured, str) else "")


def _cells(line: Line) -> tuple[str, ...]:
    target, row = line.target, line.row
    goal = f"{goal_text(target.goal)} {target.unit}"
    if row is None or line.reason:
        reason = line.reason if line.reason.startswith("not run") else f"not run: {line.reason}"
        return target.benchmark, target.figure, goal, reason, "", ""
    met = "yes" if line.is_met else f"no; {busy_text(row.busy)}".rstrip("; ")
    return target.benchmark, target.figure, goal, measured_text(row), _ratio(row), met


def _headline_cells(line: Line, days: Mapping[str, str]) -> tuple[str, ...]:
    target, row = line.target, line.row
    is_plain = target.unit in ("share", "index")
    unit = "" if is_plain else f" {target.unit}"
    goal = f"{goal_text(target.goal)}{unit}" if target.goal.value else "none"
    if row is None or not isinstance(row.measured, Spread):
        return target.headline, "not run", goal, "", ""
    value = row.measured.median
    measured = f"{share(value) if is_plain else number(value)}{unit}"
    return target.headline, measured, goal, "yes" if line.is_met else "no", days[target.benchmark]


def _met_text(lines: Sequence[Line]) -> str:
    met = sum(line.is_met for line in lines)
    without = sum(bool(line.reason) for line in lines)
    return f"{met} of {len(lines)} goals met, {len(lines) - met - without} not met, {without} not run."


def _rates_text(results: Sequence[Result]) -> str:
    """Return a sentence with the rates that a reader looks for first; empty if one of them was not measured."""
    by_name = {result.report.name: result for result in results}
    enqueues = [
        row.measured.median
        for row in (by_name["http"].report.rows if "http" in by_name else [])
        if row.what == SINGLE_ENQUEUE and isinstance(row.measured, Spread)
    ]
    whole = [
        float(row[grid.columns.index(WHOLE_JOBS)])
        for grid in (by_name["systems"].report.grids if "systems" in by_name else [])
        for row in grid.rows
        if row[0] == OWN_RAW
    ]
    if not enqueues or not whole:
        return ""
    cores = by_name["http"].machine.cores
    return (
        f"One `sharq-server` process answered {_hundreds(enqueues[0])} single enqueues a second, and did "
        f"{_hundreds(whole[0])} whole jobs a second\n(enqueued, leased and finished) in batches of 100, "
        f"on {cores} cores that it shared with its store and the load."
    )


def _hundreds(value: float) -> str:
    return f"{round(value, -2):,.0f}"


def _ratio(row: Row) -> str:
    """`3.1 x original`, with a star for a peer's figure from another day."""
    if row.peer is None:
        return ""
    if row.ratio is None:
        return str(row.peer.value) if isinstance(row.peer.value, str) else ""
    return f"{number(row.ratio)} x {row.peer.name}{'' if row.peer.is_same_run else ' (another day)'}"


def _runs(results: Sequence[Result]) -> dict[str, str] | None:
    """Return the day of each benchmark, and its processor if there are several; None if all have the same ones."""
    processors = {result.machine.cpu for result in results}
    runs = {
        result.report.name: _day(result) + (f", {result.machine.cpu}" if len(processors) > 1 else "")
        for result in results
    }
    return runs if len(set(runs.values())) > 1 else None


def _day(result: Result) -> str:
    return result.machine.date.partition(" ")[0]


def _provenance(results: Sequence[Result]) -> str:
    """Return one sentence for each machine, with the date of its results."""
    if not results:
        return "Nothing has been measured here yet."
    dates: dict[tuple[str, int, int], list[str]] = {}
    for result in results:
        machine = result.machine
        dates.setdefault((machine.cpu, machine.cores, machine.memory_gib), []).append(machine.date)
    return "\n".join(
        f"Measured {_span(days)} on {cpu}, {cores} cores, {memory} GiB, with load, servers and store all on it."
        for (cpu, cores, memory), days in dates.items()
    )


def _span(dates: Sequence[str]) -> str:
    first, last = min(dates), max(dates)
    return first if first == last else f"from {first} to {last}"
