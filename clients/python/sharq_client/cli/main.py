"""Starts the command `sharq`, or says what to install if the extra `cli` is missing."""

from __future__ import annotations

import io
import sys
from importlib.util import find_spec

_NEEDED = frozenset({"rich", "typer"})


def main() -> None:
    """Run `sharq` with the arguments of the process, and exit with its code."""
    try:
        if find_spec("rich") is None:
            raise ModuleNotFoundError(name="rich")  # noqa: TRY301 - it is imported late, and would be missed late
        from sharq_client.cli.app import run  # noqa: PLC0415 - fails without the extra
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        print(  # noqa: T201 - the only output that is possible without the extra
            f"sharq: the command needs {error.name}. Install it with: pip install 'sharq-client[cli]'",
            file=sys.stderr,
        )
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        # A name that the encoding of the terminal lacks is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    run(sys.argv[1:])


if __name__ == "__main__":
    main()
