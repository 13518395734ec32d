"""`python -m deploy.release`: build the files of a release, check them, or compare versions. Publishes nothing."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.release.build import build
from deploy.release.checks import check
from deploy.release.errors import ReleaseError
from deploy.release.versions import check_versions, release_notes


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name. Return 0 if all is in order, else 1."""
    options = _parse(argv)
    try:
        if options.command == "version":
            print(check_versions(options.tag))
        elif options.command == "notes":
            print(release_notes(check_versions(options.tag)), end="")
        elif options.command == "build":
            for path in build(options.out, tag=options.tag):
                print(f"{path.stat().st_size:>12,}  {path.name}")
        else:
            print("\n".join(check(options.out)))
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.release", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, meaning in (
        ("version", "print the version, if all parts of the project agree on it"),
        ("notes", "print what the changelog says about the version"),
        ("build", "build wheels, sdists, chart, TypeScript package, SBOMs and checksums"),
        ("check", "check the files that build made"),
    ):
        command = commands.add_parser(name, help=meaning, description=meaning)
        if name in ("build", "check"):
            command.add_argument(
                "--out", type=Path, default=Path("dist"), help="folder of the files (default: dist)"
            )
        if name != "check":
            command.add_argument("--tag", help="tag of the release, such as v2.0.0; it must name the version")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
