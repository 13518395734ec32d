"""Tries the files of a release, as far as this can be done without a registry."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
import zipfile
from pathlib import Path

from deploy.release.build import CHECKSUMS, PROJECTS
from deploy.release.commands import find_tool, run
from deploy.release.errors import ReleaseError
from deploy.release.versions import check_versions

KUBERNETES = "1.32"
"""The version of Kubernetes for which the chart is rendered."""

_FORBIDDEN = ("node_modules/", "__pycache__/", ".venv/", ".git/", "sharq-data/", ".tools/")


def check(out: Path) -> list[str]:
    """Check the files of a release, and return a line about each thing that was found in order.

    Raises:
        ReleaseError: something is missing or wrong.
    """
    version = check_versions()
    done = [_checksums(out)]
    for name in PROJECTS:
        done += [_archives(name, version, out), _sbom(name, version, out)]
    packages = [*out.glob("*.whl"), *(path for path in out.glob("*.tar.gz"))]
    run(sys.executable, "-m", "twine", "check", "--strict", *packages)
    done.append(f"the metadata of {len(packages)} Python packages is what an index accepts")
    (chart,) = out.glob("sharq-[0-9]*.tgz")
    run(find_tool("helm"), "lint", "--strict", chart)
    run(find_tool("helm"), "template", "sharq", chart, "--kube-version", KUBERNETES)
    done.append(f"{chart.name} has no lint and can be rendered")
    return done


def _checksums(out: Path) -> str:
    lines = (out / CHECKSUMS).read_text().splitlines()
    named = {}
    for line in lines:
        digest, _, name = line.partition("  ")
        named[name] = digest
    present = {path.name for path in out.iterdir()} - {CHECKSUMS}
    if present != set(named):
        raise ReleaseError(f"{CHECKSUMS} and the folder differ: {', '.join(sorted(present ^ set(named)))}")
    for name, digest in named.items():
        if hashlib.sha256((out / name).read_bytes()).hexdigest() != digest:
            raise ReleaseError(f"{name} is not the file that {CHECKSUMS} names")
    return f"{len(named)} files are those that {CHECKSUMS} names"


def _archives(name: str, version: str, out: Path) -> str:
    """Compare the modules of the wheel with those of the sdist, and look for what must not be in them."""
    stem = f"{name.replace('-', '_')}-{version}"
    (wheel,) = out.glob(f"{stem}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {entry for entry in archive.namelist() if ".dist-info/" not in entry}
    with tarfile.open(out / f"{stem}.tar.gz") as archive:
        in_sdist = {entry.partition("/")[2] for entry in archive.getnames()}
    missing = in_wheel - in_sdist
    if missing:
        raise ReleaseError(f"the sdist of {name} lacks {', '.join(sorted(missing)[:5])}, which its wheel has")
    for entry in sorted(in_wheel | in_sdist):
        if any(f"/{part}" in f"/{entry}/" for part in _FORBIDDEN):
            raise ReleaseError(f"a package of {name} holds {entry}")
    return f"{name}: {len(in_wheel)} files in the wheel, {len(in_sdist)} in the sdist"


def _sbom(name: str, version: str, out: Path) -> str:
    """Check that the list of components names the distribution and its dependencies with versions."""
    document = json.loads((out / f"{name}-{version}.cdx.json").read_text())
    components = {component["name"]: component.get("version") for component in document.get("components", [])}
    described = document["metadata"]["component"]
    if (described["name"], described.get("version")) != (name, version):
        raise ReleaseError(f"the SBOM of {name} describes {described['name']} {described.get('version')}")
    unversioned = sorted(part for part, found in components.items() if not found)
    if unversioned or not components:
        raise ReleaseError(
            f"the SBOM of {name} has components without a version: {', '.join(unversioned) or 'none'}"
        )
    return f"{name}: the SBOM names {len(components)} components"
