"""Compares the versions that the parts of the project give for themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path

from deploy.release.commands import ROOT
from deploy.release.errors import ReleaseError

_PYTHON_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.M)
_APP_VERSION = re.compile(r"^appVersion: (\S+)$", re.M)
_PRERELEASE = re.compile(r"(\d+\.\d+\.\d+)(?:(a|b|rc)(\d+))?")
_NPM_WORDS = {"a": "alpha", "b": "beta", "rc": "rc"}


def read_versions(root: Path = ROOT) -> dict[str, str]:
    """Return the version that each part gives for itself, by the file that says it, in Python's notation."""
    found = {
        name: _match(_PYTHON_VERSION, root / name)
        for name in ("sharq_core/version.py", "clients/python/sharq_client/version.py")
    }
    found["deploy/helm/sharq/Chart.yaml"] = _match(_APP_VERSION, root / "deploy/helm/sharq/Chart.yaml")
    package = root / "clients/typescript/package.json"
    if package.exists():
        found["clients/typescript/package.json"] = from_npm(json.loads(package.read_text())["version"])
    return found


def check_versions(tag: str | None = None, root: Path = ROOT) -> str:
    """Return the version of the release.

    Args:
        tag: the tag that the release is made from, `v` and the version; None without one.

    Raises:
        ReleaseError: two parts have different versions, the tag names another one, or the changelog has no section for
            the version of a tag.
    """
    versions = read_versions(root)
    if len(set(versions.values())) != 1:
        each = "\n".join(f"  {version:12} {name}" for name, version in versions.items())
        raise ReleaseError(f"the parts of the project have different versions:\n{each}")
    version = next(iter(versions.values()))
    if tag is None:
        return version
    if tag != f"v{version}":
        raise ReleaseError(
            f"the tag is {tag}, but the version of the project is {version}: expected v{version}"
        )
    if f"\n## [{version}]" not in (root / "CHANGELOG.md").read_text():
        raise ReleaseError(f"CHANGELOG.md has no section [{version}]: give the Unreleased one this name")
    return version


def release_notes(version: str, root: Path = ROOT) -> str:
    """Return the section of the changelog about a version, or the Unreleased one if there is none yet.

    Raises:
        ReleaseError: the changelog has neither.
    """
    text = (root / "CHANGELOG.md").read_text()
    for name in (version, "Unreleased"):
        match = re.search(rf"^## \[{re.escape(name)}\].*?$\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        if match is not None:
            return match[1].strip() + "\n"
    raise ReleaseError(f"CHANGELOG.md has no section [{version}]")


def to_npm(version: str) -> str:
    """Return a version in the notation of npm: `2.0.0b1` is `2.0.0-beta.1` there.

    Raises:
        ReleaseError: it is no version that this project gives: three numbers, perhaps with a, b or rc and a number.
    """
    match = _PRERELEASE.fullmatch(version)
    if match is None:
        raise ReleaseError(f"{version} is not a version such as 2.0.0, 2.0.0b1 or 2.0.0rc1")
    numbers, kind, count = match.groups()
    return f"{numbers}-{_NPM_WORDS[kind]}.{count}" if kind else numbers


def from_npm(version: str) -> str:
    """Return a version of npm in Python's notation; as it is if it has none there."""
    for short, word in _NPM_WORDS.items():
        version = re.sub(rf"-{word}\.(\d+)$", rf"{short}\1", version)
    return version


def _match(pattern: re.Pattern[str], path: Path) -> str:
    match = pattern.search(path.read_text())
    if match is None:
        raise ReleaseError(f"{path} names no version")
    return match[1]
