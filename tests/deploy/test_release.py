"""The release: all that can be done without a registry is done here, and the workflow that publishes it has no lint."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.release import checks, versions
from deploy.release.__main__ import main
from deploy.release.build import CHECKSUMS, build
from deploy.release.errors import ReleaseError
from tests.support.extent import is_full
from tests.support.tools import missing_tool

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / ".github" / "workflows" / "release.yml"
VERSION = versions.check_versions()


def find_tool(name: str) -> str:
    kept = Path(os.environ.get("TOOLS_DIR", ROOT / ".tools")) / "bin"
    return shutil.which(name, path=f"{kept}:{os.environ['PATH']}") or missing_tool(name)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a release, built once."""
    find_tool("helm")
    out = tmp_path_factory.mktemp("release") / "dist"
    build(out)
    return out


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_release_consists_of_packages_chart_lists_and_checksums_and_passes_its_checks(dist: Path) -> None:
    names = {path.name for path in dist.iterdir()}
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "sharq" / "Chart.yaml").read_text())
    assert names >= {
        CHECKSUMS,
        f"sharq_cluster-{VERSION}.tar.gz",
        f"sharq_cluster-{VERSION}-py3-none-any.whl",
        f"sharq_client-{VERSION}.tar.gz",
        f"sharq_client-{VERSION}-py3-none-any.whl",
        f"sharq-cluster-{VERSION}.cdx.json",
        f"sharq-client-{VERSION}.cdx.json",
        f"sharq-{chart['version']}.tgz",
    }
    assert checks.check(dist)


def test_checksums_are_those_that_sha256sum_reads(dist: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", CHECKSUMS], check=False, cwd=dist, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == len(list(dist.iterdir())) - 1


def test_no_file_names_a_place_of_the_machine_that_built_it(dist: Path) -> None:
    places = [str(ROOT).encode(), str(dist).encode(), str(Path.home()).encode() + b"/", b"file://"]
    for path in dist.glob("*.json"):
        assert not [place for place in places if place in path.read_bytes()], path.name
    for path in (*dist.glob("*.whl"), *dist.glob("*.tar.gz")):
        unpacked = path.with_suffix(".unpacked")
        shutil.unpack_archive(path, unpacked, "zip" if path.suffix == ".whl" else "gztar", **_filter(path))
        for file in unpacked.rglob("*"):
            if file.is_file():
                assert str(ROOT).encode() not in file.read_bytes(), file
        shutil.rmtree(unpacked)


def _filter(path: Path) -> dict[str, Any]:
    return {} if path.suffix == ".whl" else {"filter": "data"}


def test_changed_file_fails_the_check(dist: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dist, tmp_path / "dist")
    wheel = copy / f"sharq_client-{VERSION}-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    with pytest.raises(ReleaseError, match=f"{wheel.name} is not the file"):
        checks.check(copy)
    wheel.unlink()
    with pytest.raises(ReleaseError, match=f"differ: {wheel.name}"):
        checks.check(copy)


def test_folder_with_other_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.whl").touch()
    assert main(["build", "--out", str(tmp_path)]) == 1
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not is_full(), reason="FULL=1 builds a second time")
def test_the_same_commit_gives_the_same_packages(dist: Path, tmp_path: Path) -> None:
    build(tmp_path / "again")
    for path in (*dist.glob("*.whl"), *dist.glob("*.tar.gz"), *dist.glob("*.cdx.json")):
        assert _digest(path) == _digest(tmp_path / "again" / path.name), path.name


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not is_full(), reason="FULL=1 tries the wheels; tests/installation installs them, too")
def test_wheels_work_in_environments_of_their_own(dist: Path) -> None:
    done = subprocess.run(
        [ROOT / "deploy" / "release" / "try-wheels", dist, sys.executable],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_chart_holds_its_rules_and_dashboards(dist: Path) -> None:
    (chart,) = dist.glob("sharq-[0-9]*.tgz")
    with tarfile.open(chart) as archive:
        names = set(archive.getnames())
    wanted = {
        f"sharq/{path.relative_to(ROOT / 'deploy' / 'helm' / 'sharq')}"
        for path in (ROOT / "deploy" / "helm" / "sharq").rglob("*")
        if path.is_file() and path.name != ".helmignore"
    }
    assert names >= wanted


@pytest.mark.parametrize("part", sorted(versions.read_versions()))
def test_version_of_each_part_is_compared(part: str, tmp_path: Path) -> None:
    for name in (*versions.read_versions(), "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    assert versions.check_versions(root=tmp_path) == VERSION
    file = tmp_path / part
    for spelling in (VERSION, versions.to_npm(VERSION)):
        file.write_text(file.read_text().replace(spelling, "9.9.9"))
    with pytest.raises(ReleaseError, match=r"different versions:[\s\S]*9\.9\.9 +" + part):
        versions.check_versions(root=tmp_path)


def test_tag_must_name_the_version_and_have_a_section_in_the_changelog(tmp_path: Path) -> None:
    for name in (*versions.read_versions(), "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    with pytest.raises(ReleaseError, match=f"expected v{VERSION}"):
        versions.check_versions("v0.0.1", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n- New.\n\n## [0.1.0]\n\n- Old.\n"
    )
    assert versions.release_notes(VERSION, tmp_path) == "- New.\n"
    with pytest.raises(ReleaseError, match=r"CHANGELOG\.md has no section"):
        versions.check_versions(f"v{VERSION}", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## [{VERSION}] - 2026-12-01\n\n- New.\n")
    assert versions.check_versions(f"v{VERSION}", tmp_path) == VERSION
    assert versions.release_notes(VERSION, tmp_path) == "- New.\n"


def test_versions_of_npm() -> None:
    for python, npm in (("2.0.0", "2.0.0"), ("2.0.0b1", "2.0.0-beta.1"), ("2.1.0rc3", "2.1.0-rc.3")):
        assert versions.to_npm(python) == npm
        assert versions.from_npm(npm) == python
    with pytest.raises(ReleaseError, match="not a version"):
        versions.to_npm("2.0")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_have_no_lint(workflow: Path) -> None:
    done = subprocess.run(
        [find_tool("actionlint"), "-no-color", workflow], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_published_but_from_a_tag_and_nothing_is_granted_to_all_jobs() -> None:
    workflow = yaml.safe_load(RELEASE.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name in ("attest", "publish", "index", "npm"):
        assert "github.ref_type == 'tag'" in workflow["jobs"][name]["if"]
    for name in ("index", "npm"):
        assert f"vars.PUBLISH_{name.upper()} == 'true'" in workflow["jobs"][name]["if"]
    for step in workflow["jobs"]["image"]["steps"]:
        if step.get("with", {}).get("push"):
            assert step["if"] == "github.ref_type == 'tag' && vars.IMAGE != ''"


def test_workflow_runs_programs_that_are_here() -> None:
    jobs = yaml.safe_load(RELEASE.read_text())["jobs"]
    lines = [
        line for job in jobs.values() for step in job["steps"] for line in step.get("run", "").splitlines()
    ]
    ours = {word for line in lines for word in line.split() if word.startswith("deploy/")}
    assert ours == {"deploy/release/try-wheels", "deploy/release/try-image"}
    for program in ours:
        assert os.access(ROOT / program, os.X_OK)
    assert any(line.startswith("make release ") for line in lines)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
