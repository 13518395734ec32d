"""The table of goals: made of results, with missing ones, and put into a document that holds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks import __main__ as program
from benchmarks.errors import NotRun, Spoiled
from benchmarks.figures import summary, targets
from benchmarks.figures.curve import Curve
from benchmarks.figures.machine import Machine
from benchmarks.figures.report import Cell, Goal, Grid, Peer, Report, Result, Row, save, to_markdown
from benchmarks.figures.spread import Spread
from benchmarks.figures.targets import TARGETS
from benchmarks.processes.busy import LOAD, BusyMeter, typical

MACHINE = Machine("a processor", 2, 8, "Linux 6", "CPython 3.13", 0.1, {"redis": "8"}, "2026-01-02 03:04 UTC")


def report_of(*rows: Row, name: str = "http") -> Report:
    return Report(name=name, question="How many?", parameters={"store": "a store"}, rows=list(rows))


def line_of(table: str, figure: str) -> list[str]:
    """Return the cells of a row."""
    (line,) = [line for line in table.splitlines() if f"| {figure} |" in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_goal_names_a_benchmark_and_no_two_name_one_figure() -> None:
    assert {target.benchmark for target in TARGETS} <= set(program.NAMES)
    assert len({(target.benchmark, target.figure) for target in TARGETS}) == len(TARGETS)


def test_a_goal_shows_median_least_greatest_ratio_and_whether_it_is_met() -> None:
    rows = [
        targets.ENQUEUES_OF_ORIGINAL.row(
            Spread.of([4.1, 5.0, 3.9]), Peer("original", 2.0, is_same_run=False)
        ),
        targets.PAIRS_OF_ORIGINAL.row(Spread.of([3.9])),
    ]
    table = summary.to_markdown(summary.judge([report_of(*rows)], {}))
    cells = line_of(table, targets.ENQUEUES_OF_ORIGINAL.figure)
    assert cells[2:4] == ["≥ 4 x", "4.1 (3.9–5, 3 runs)"]  # noqa: RUF001
    assert cells[4:] == ["2.05 x original (another day)", "yes"]
    assert line_of(table, targets.PAIRS_OF_ORIGINAL.figure)[-1] == "no"


def test_goal_that_misses_names_the_busy_share_of_each_process_and_one_that_is_met_does_not() -> None:
    busy = {"server": 0.982, "store": 0.4}
    rows = [
        targets.PAIRS_OF_ORIGINAL.row(Spread.of([3.9]), busy=busy),
        targets.ENQUEUES_OF_ORIGINAL.row(Spread.of([4.1]), busy=busy),
    ]
    shares = "server 0.98, store 0.40 of a core"
    table = summary.to_markdown(summary.judge([report_of(*rows)], {}))
    assert line_of(table, targets.PAIRS_OF_ORIGINAL.figure)[-1] == f"no; {shares}"
    assert line_of(table, targets.ENQUEUES_OF_ORIGINAL.figure)[-1] == "yes"
    page = to_markdown(report_of(*rows), MACHINE)
    assert page.count(shares) == 1
    assert f"- {targets.PAIRS_OF_ORIGINAL.figure}: {shares}" in page


def test_no_goal_is_a_rate_of_this_machine() -> None:
    assert not [target.figure for target in TARGETS if target.unit in ("req/s", "jobs/s", "calls/s")]


def test_busy_shares_are_those_of_named_processes_and_of_the_load() -> None:
    meter = BusyMeter({"this": [os.getpid()]})
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    spent_us = meter.spent_us()
    assert set(spent_us) == {"this", LOAD}
    assert spent_us[LOAD] > spent_us["this"] > 0
    assert typical([{"a": 1.0}, {"a": 3.0}, {"a": 2.0}]) == {"a": 2.0}


def test_a_benchmark_that_failed_is_not_run_and_never_a_number() -> None:
    table = summary.to_markdown(summary.judge([], {"http": "wrk is not installed"}))
    assert line_of(table, targets.ENQUEUE_OF_BARE.figure)[3:] == ["not run: wrk is not installed", "", ""]
    assert f"0 of {len(TARGETS)} goals met, 0 not met, {len(TARGETS)} not run." in table


def test_a_missing_peer_is_not_run_and_the_other_figures_stand() -> None:
    rows = [
        targets.JOBS_OF_ASYNQ.row(Spread.of([2.0])),
        targets.JOBS_OF_BULLMQ.row("not run: npm is missing"),
    ]
    table = summary.to_markdown(summary.judge([report_of(*rows, name="systems")], {}))
    assert line_of(table, targets.JOBS_OF_BULLMQ.figure)[3:] == ["not run: npm is missing", "", ""]
    assert line_of(table, targets.JOBS_OF_ASYNQ.figure)[-1] == "yes"


def test_a_figure_that_a_short_run_does_not_have_is_not_run() -> None:
    table = summary.to_markdown(summary.judge([report_of(name="queues")], {}))
    figure = targets.DEQUEUES["1 job", "10,000,000 ready queues"].figure
    assert line_of(table, figure)[3] == "not run: this run has no such figure"


def test_one_benchmark_that_fails_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(is_quick: bool) -> Report:
        raise RuntimeError("unexpected")

    def lack(is_quick: bool) -> Report:
        raise NotRun("wrk is not installed")

    def find(is_quick: bool) -> Report:
        return report_of(targets.START.row(Spread.of([0.5])), name="start")

    monkeypatch.setattr("benchmarks.cluster.link.run", fail)
    monkeypatch.setattr("benchmarks.http.http.run", lack)
    monkeypatch.setattr("benchmarks.scale.start.run", find)
    assert program.main(["link", "http", "start", "--quick"]) == 1
    printed = capsys.readouterr().out
    assert line_of(printed, targets.ENQUEUE_OF_BARE.figure)[3] == "not run: wrk is not installed"
    assert "| start | start to first answered request, new data | ≤ 1 s | 0.5 |  | yes |" in printed


def test_full_form_divides_its_sizes_and_is_not_there_for_a_quick_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(part: int) -> Report:
        return report_of(Row("part", "x", Spread.of([float(part)])), name="start")

    monkeypatch.setattr("benchmarks.scale.start.run_full", full)
    assert program.main(["start", "--full", "--part", "100"]) == 0
    assert line_of(capsys.readouterr().out, "part")[1] == "100"
    with pytest.raises(SystemExit):
        program.main(["start", "--full", "--quick"])
    with pytest.raises(SystemExit):
        program.main(["link", "--full"])


def test_saved_results_come_back_and_name_date_and_machine(tmp_path: Path) -> None:
    row = targets.START.row(Spread.of([0.5]), Peer("other", "not run: missing", is_same_run=True))
    report = report_of(row, name="start")
    save(report, MACHINE, tmp_path)
    assert summary.load_results(tmp_path) == [Result(MACHINE, report)]
    text = summary.for_goals_page(summary.load_results(tmp_path))
    assert "2026-01-02 03:04 UTC on a processor, 2 cores, 8 GiB" in text
    assert line_of(text, targets.START.figure)[-1] == "yes"


def test_a_saved_result_is_held_against_the_goal_of_today() -> None:
    easier = msgspec.structs.replace(targets.START.row(Spread.of([9.0])), goal=Goal(10.0, is_least=False))
    text = summary.for_goals_page([Result(MACHINE, report_of(easier, name="start"))])
    assert line_of(text, targets.START.figure)[-1] == "no"
    assert text.splitlines()[-1].startswith("0 of ")


def test_a_saved_result_in_another_unit_than_the_goal_of_today_is_none() -> None:
    formerly = msgspec.structs.replace(targets.STORE_ON_8.row(Spread.of([20.0])), unit="µs")
    text = summary.for_goals_page([Result(MACHINE, report_of(formerly, name="store"))])
    assert line_of(text, targets.STORE_ON_8.figure)[3] == "not run: this run measured it in µs"


def test_the_readme_shows_the_goals_that_have_a_headline_and_counts_all() -> None:
    rows = [targets.RATE_STRICT.row(Spread.of([0.9984])), targets.RATE_EVEN[50].row(Spread.of([0.9]))]
    text = summary.for_readme([Result(MACHINE, report_of(*rows, name="rate"))])
    assert line_of(text, targets.RATE_STRICT.headline)[1:] == ["0.9984", "≥ 0.998", "yes", "2026-01-02"]
    assert line_of(text, targets.START.headline)[1:] == ["not run", "≤ 1 s", "", ""]
    assert targets.RATE_EVEN[50].figure not in text
    assert text.endswith(f"1 of {len(TARGETS)} goals met, 1 not met, {len(TARGETS) - 2} not run.")


def test_the_readme_begins_with_the_rates_if_both_were_measured() -> None:
    row = Row(targets.SINGLE_ENQUEUE, "req/s", Spread.of([14_356.4]))
    http = Result(MACHINE, report_of(row, name="http"))
    whole: list[tuple[Cell, ...]] = [("another", 8_900.0), (targets.OWN_RAW, 20_220.5)]
    grid = Grid("By system", ("system", targets.WHOLE_JOBS), whole)
    systems = Result(MACHINE, Report("systems", "How many?", {}, rows=[], grids=[grid]))
    text = summary.for_readme([http, systems])
    assert text.startswith("One `sharq-server` process answered 14,400 single enqueues a second")
    assert "did 20,200 whole jobs a second" in text
    assert summary.for_readme([http]).startswith("| what |")
    assert summary.for_readme([systems]).startswith("| what |")


def test_rows_of_different_days_or_processors_have_their_own_dates() -> None:
    reports = [
        report_of(targets.START.row(Spread.of([0.5])), name="start"),
        report_of(targets.MEMORY_FEW_QUEUES.row(Spread.of([300.0])), name="memory"),
    ]
    later = msgspec.structs.replace(MACHINE, date="2026-02-03 04:05 UTC")
    other = msgspec.structs.replace(later, cpu="another")

    def dates(*machines: Machine) -> list[str]:
        text = summary.for_goals_page(
            [Result(machine, report) for machine, report in zip(machines, reports, strict=True)]
        )
        figures = (targets.START.figure, targets.MEMORY_FEW_QUEUES.figure)
        return [line_of(text, figure)[-1] for figure in figures]

    assert dates(MACHINE, MACHINE) == ["yes", "yes"]
    assert dates(MACHINE, later) == ["2026-01-02", "2026-02-03"]
    assert dates(MACHINE, other) == ["2026-01-02, a processor", "2026-02-03, another"]
    not_run = line_of(
        summary.for_goals_page([Result(MACHINE, reports[0]), Result(later, reports[1])]),
        targets.START_LOADED.figure,
    )
    assert not_run[-1] == "" and not_run[3].startswith("not run")


def test_curves_are_saved_as_plots_on_either_axis(tmp_path: Path) -> None:
    points = [(1.0, 5.0), (2.0, 4.0), (3.0, 6.0)]
    curves = [Curve("a title", "shards", "CPU time", {"store": points}, is_log) for is_log in (True, False)]
    report = Report("cluster", "How much?", {}, rows=[], curves=curves)
    save(report, MACHINE, tmp_path)
    for name in ("cluster.svg", "cluster-2.svg"):
        assert "</svg>" in (tmp_path / name).read_text()


def test_the_table_replaces_what_is_between_the_marks_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{summary.BEGIN}\nold\n{summary.END}\nafter\n")
    for text in ("new", "newer"):
        summary.replace_in(page, text)
    assert page.read_text() == f"before\n{summary.BEGIN}\nnewer\n{summary.END}\nafter\n"


@pytest.mark.parametrize(
    "content", ["no marks", f"{summary.END}\n{summary.BEGIN}", f"{summary.BEGIN} and no end"]
)
def test_a_document_without_both_marks_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(content)
    with pytest.raises(Spoiled, match="once each"):
        summary.replace_in(page, "new")
    assert page.read_text() == content


@pytest.mark.parametrize(
    "page", [summary.README, summary.GOALS_PAGE, summary.RATES_PAGE], ids=lambda page: page.name
)
def test_the_documents_have_a_place_for_their_table(page: Path) -> None:
    content = page.read_text()
    assert 0 < content.find(summary.BEGIN) < content.find(summary.END)


def test_the_table_of_bursts_is_of_one_run_and_names_its_date(tmp_path: Path) -> None:
    assert summary.for_rates_page(summary.load_results(tmp_path)) is None
    rows: list[tuple[Cell, ...]] = [("20/s", 1, 0.0, 0.974), ("20/s", 2, 50.0, 1.0)]
    rows += [("1,000/s", burst, burst - 1.0, share) for burst, share in ((1, 0.67), (3, 0.97), (6, 0.981))]
    report = Report("burst", "Which burst?", {}, rows=[], grids=[Grid("Delivered", ("rate",), rows)])
    save(report, MACHINE, tmp_path)
    text = summary.for_rates_page(summary.load_results(tmp_path))
    assert text is not None and "2026-01-02 03:04 UTC on a processor" in text
    assert line_of(text, "20/s") == ["20/s", "0.97", "1.00", "1.00 (2)", "1.00 (2)", "1.00 (2)"]
    assert line_of(text, "1,000/s") == ["1,000/s", "0.67", "", "0.97 (3)", "0.98 (6)", ""]
