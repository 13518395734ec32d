"""Builds the files of a release: wheels, sdists, the chart, the TypeScript package, the SBOMs, and their checksums.

The same commit gives the same wheels and sdists, byte for byte, because their times are that of the commit.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from deploy.release.commands import ROOT, find_tool, run
from deploy.release.errors import ReleaseError
from deploy.release.versions import check_versions, to_npm

CHECKSUMS = "SHA256SUMS"
CHART = Path("deploy/helm/sharq")
TYPESCRIPT = Path("clients/typescript")
PROJECTS = {"sharq-cluster": Path(), "sharq-client": Path("clients/python")}
"""Each Python distribution, and the folder of its pyproject.toml."""

_SBOM_EXTRAS = {"sharq-cluster": "embedded,otel", "sharq-client": "cli,import,metrics,otel"}


def build(out: Path, *, tag: str | None = None) -> list[Path]:
    """Build all files of a release into an empty folder, and return their paths.

    Args:
        out: the folder, made if need be.
        tag: the tag of the release; None for a trial.

    Raises:
        ReleaseError: the folder holds something, the versions differ, or a tool fails.
    """
    out = out.resolve()
    version = check_versions(tag)
    if out.exists() and any(out.iterdir()):
        raise ReleaseError(f"{out} is not empty: name another folder, or remove its files")
    out.mkdir(parents=True, exist_ok=True)
    epoch = {"SOURCE_DATE_EPOCH": _time_of_commit()}
    for name, folder in PROJECTS.items():
        _build_project(name, ROOT / folder, out, epoch)
    for name in PROJECTS:
        _write_sbom(name, version, out, epoch)
    run(find_tool("helm"), "package", ROOT / CHART, "--destination", out)
    if (ROOT / TYPESCRIPT / "package.json").exists():
        _pack_typescript(version, out)
    _write_checksums(out)
    return sorted(out.iterdir())


def _time_of_commit() -> str:
    """Return the time of the newest commit in seconds since the epoch; without git, the beginning of 2020."""
    try:
        return run("git", "log", "-1", "--format=%ct").strip()
    except (ReleaseError, FileNotFoundError):
        return "1577836800"


def _build_project(name: str, folder: Path, out: Path, epoch: dict[str, str]) -> None:
    """Build the sdist of a distribution, and its wheel from the files of the sdist, as an installer does."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", out, cwd=folder, env=epoch)
    (sdist,) = out.glob(f"{name.replace('-', '_')}-*.tar.gz")
    with tempfile.TemporaryDirectory() as work:
        shutil.unpack_archive(sdist, work, filter="data")
        (unpacked,) = Path(work).iterdir()
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out, cwd=unpacked, env=epoch)


def _write_sbom(name: str, version: str, out: Path, epoch: dict[str, str]) -> None:
    """Write the list of what an installation of the distribution with all its extras consists of, in CycloneDX.

    The distribution is installed into an environment of its own, with the locked versions, and that is listed.
    """
    (wheel,) = out.glob(f"{name.replace('-', '_')}-*.whl")
    with tempfile.TemporaryDirectory() as work:
        environment = Path(work) / "environment"
        run(sys.executable, "-m", "venv", "--without-pip", environment)
        python = environment / "bin" / "python"
        pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile")
        run(*pip, "--constraint", _constraints(Path(work)), f"{wheel}[{_SBOM_EXTRAS[name]}]")
        project = ROOT / PROJECTS[name] / "pyproject.toml"
        target = out / f"{name}-{version}.cdx.json"
        flags = ("--pyproject", project, "--output-reproducible", "--output-format", "JSON")
        run(
            Path(sys.executable).with_name("cyclonedx-py"),
            "environment",
            *flags,
            "-o",
            target,
            python,
            env=epoch,
        )
    document = json.loads(target.read_text())
    # The version is dynamic, so that pyproject.toml, from which the tool describes the distribution, does not have it.
    document["metadata"]["component"] |= {"version": version, "purl": f"pkg:pypi/{name}@{version}"}
    target.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


def _constraints(folder: Path) -> Path:
    """Write the locked versions as constraints: without hashes, which a wheel from here does not have."""
    lines = (ROOT / "requirements" / "dev.lock").read_text().splitlines()
    path = folder / "constraints.txt"
    path.write_text("".join(f"{line.removesuffix(chr(92)).strip()}\n" for line in lines if "==" in line))
    return path


def _pack_typescript(version: str, out: Path) -> None:
    npm = find_tool("npm")
    run(npm, "ci", "--silent", cwd=ROOT / TYPESCRIPT)
    run(npm, "run", "--silent", "build", cwd=ROOT / TYPESCRIPT)
    run(npm, "pack", "--silent", "--pack-destination", out, cwd=ROOT / TYPESCRIPT)
    if not list(out.glob(f"*-{to_npm(version)}.tgz")):
        raise ReleaseError(
            f"npm packed no file of version {to_npm(version)}: {TYPESCRIPT}/package.json names another"
        )


def _write_checksums(out: Path) -> None:
    """Write the SHA-256 of each file, in the form that `sha256sum --check` reads."""
    files = sorted(path for path in out.iterdir() if path.name != CHECKSUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (out / CHECKSUMS).write_text("".join(lines))
