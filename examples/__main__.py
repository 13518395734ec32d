"""Runs an example: `python -m examples NAME [ARGUMENT ...]`, which is what `make example NAME=...` does.

An example is a folder with a `__main__.py`. It reads the address of its server from the variable SHARQ_URL. If that is
not set, this program starts `sharq-server` on a free port, with its data in a temporary folder, and stops it at the
end.
The exit code is that of the example: 0 if every promise held, 1 if not.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from sharq_core.process.launch import tied

FOLDER = Path(__file__).parent
START_S = 60.0
END_S = 10.0


class StartError(Exception):
    """The server has not started; the message is what it wrote."""


def main(arguments: list[str]) -> int:
    """Run the example of the first argument with the other ones and return its exit code; 2 if there is none such."""
    names = sorted(path.parent.name for path in FOLDER.glob("*/__main__.py"))
    if not arguments or arguments[0] not in names:
        if arguments:
            print(f"there is no example {arguments[0]!r}", file=sys.stderr)
        print(f"usage: python -m examples NAME [--help | ARGUMENT ...]\nNAME is one of: {', '.join(names)}")
        return 2 if arguments else 0
    signal.signal(signal.SIGTERM, _exit)
    name, *rest = arguments
    if os.environ.get("SHARQ_URL"):
        return _run(name, rest, dict(os.environ))
    try:
        with own_server() as url:
            return _run(name, rest, _clean_environ() | {"SHARQ_URL": url})
    except StartError as error:
        print(f"sharq-server has not started:\n{error}", file=sys.stderr)
        return 1


@contextmanager
def own_server() -> Iterator[str]:
    """Run `sharq-server` until the end of the block and yield its URL once it listens.

    Raises:
        StartError: it has ended, or did not listen within START_S.
    """
    with tempfile.TemporaryDirectory(prefix="sharq-example-") as directory:
        log = Path(directory, "log")
        command = [
            sys.executable,
            "-m",
            "sharq_server.main",
            "--port",
            "0",
            "--data-dir",
            f"{directory}/data",
        ]
        with log.open("wb") as output, _process(tied(*command), _clean_environ(), output.fileno()) as server:
            yield _url(server, log)


def _url(server: subprocess.Popen[bytes], log: Path) -> str:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and server.poll() is None:
        address = re.search(r"^Listening on: (\S+)$", log.read_text(), re.MULTILINE)
        if address is not None:
            return f"http://{address[1]}"
        time.sleep(0.05)
    raise StartError(log.read_text())


def _run(name: str, arguments: list[str], environ: dict[str, str]) -> int:
    with _process([sys.executable, "-m", f"examples.{name}", *arguments], environ, None) as example:
        try:
            return example.wait()
        except KeyboardInterrupt:  # Ctrl-C reaches the example, too, which ends by itself
            return example.wait(END_S)


@contextmanager
def _process(
    command: list[str], environ: dict[str, str], output: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; at the end of the block ask it to end, and kill it if it has not ended END_S later."""
    process = subprocess.Popen(
        command, cwd=FOLDER.parent, env=environ, stdout=output, stderr=output, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _clean_environ() -> dict[str, str]:
    """Return the environment without settings that are meant for another server."""
    return {name: text for name, text in os.environ.items() if not name.startswith("SHARQ_")}


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
