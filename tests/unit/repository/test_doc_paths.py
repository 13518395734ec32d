"""The pages name files and invariants that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FOLDERS = "router|shard|sharq_core|sharq_server|clients|tests|deploy|benchmarks|docs"


def test_every_file_that_a_page_names_is_there() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in PAGES
        for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", page.read_text())
        if not (ROOT / path).exists()
    ]
    assert missing == []


def test_the_index_has_every_page_once() -> None:
    index = ROOT / "docs" / "README.md"
    linked = re.findall(r"\]\(([^)#\s]+)\)", index.read_text())
    pages = {path.name for path in index.parent.glob("*.md")} - {index.name}
    assert len(linked) == len(set(linked))
    assert pages <= set(linked)


def test_every_decision_is_in_their_index() -> None:
    index = ROOT / "docs" / "decisions" / "README.md"
    linked = set(re.findall(r"\]\(([^)#\s]+)\)", index.read_text()))
    assert {path.name for path in index.parent.glob("*.md")} - {index.name} == linked


def test_glossary_has_every_invariant_and_fault_that_tests_and_code_cite() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    faults = (ROOT / "docs" / "compatibility.md").read_text()
    assert re.findall(r"^\| (I\d+) \|", glossary, re.MULTILINE) == [f"I{n}" for n in range(1, 17)]
    assert re.findall(r"^\| (U\d+) \|", faults, re.MULTILINE) == [f"U{n}" for n in range(1, 24)]


def test_every_test_that_the_list_of_faults_names_is_there() -> None:
    page = (ROOT / "docs" / "compatibility.md").read_text()
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", page))
    assert named
    assert not [name for name in named if f"def {name}(" not in tests]


def test_workflow_runs_what_the_check_of_one_machine_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (elsewhere,) = re.findall(r"^elsewhere='(.*)'$", script, re.MULTILINE)
    assert f"ARGS='{elsewhere}'" in workflow
    for target in ("setup", "check", "test", "deploy-check", "chaos QUICK=1"):
        assert f"make {target}" in workflow
