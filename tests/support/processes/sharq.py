"""Runs the command `sharq`: in this process, which is quick, or as a user does, as a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import typer

from sharq_client.cli.app import app

SCRIPT = Path(sys.executable).with_name("sharq")
DEADLINE_S = 60.0

_PROGRAM = typer.main.get_command(app)


class Outcome(msgspec.Struct, frozen=True):
    """The end of a command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document that the command wrote."""
        return json.loads(self.out)

    @property
    def documents(self) -> list[Any]:
        """The JSON Lines that the command wrote."""
        return [json.loads(line) for line in self.out.splitlines()]


class Sharq:
    """The command with one server.

    Args:
        environ: variables besides those of this process; None removes one.
    """

    def __init__(self, url: str, **environ: str | None) -> None:
        self._environ = {"SHARQ_URL": url, "SHARQ_TOKEN": None, "SHARQ_PROFILE": None, **environ}

    def __call__(self, *arguments: str, code: int = 0) -> Outcome:
        """Run a command in this process, and hold its exit code against the expected one."""
        outcome = self.any_code(*arguments)
        assert outcome.code == code, outcome
        return outcome

    def any_code(self, *arguments: str) -> Outcome:
        """Run a command in this process."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        stdin, sys.stdin = sys.stdin, io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environ(), clear=True),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                _PROGRAM.main(arguments, prog_name="sharq")
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                sys.stdin = stdin
        return Outcome(code, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, code: int = 0, stdin: str | None = None) -> Outcome:
        """Run the script in a process of its own, and hold its exit code against the expected one."""
        done = subprocess.run(
            [SCRIPT, *arguments],
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            env=self.environ(),
            check=False,
        )
        outcome = Outcome(done.returncode, done.stdout, done.stderr)
        assert outcome.code == code, outcome
        return outcome

    def environ(self) -> dict[str, str]:
        """Return the variables of a process of the command."""
        merged: Mapping[str, str | None] = {**os.environ, **self._environ}
        return {name: value for name, value in merged.items() if value is not None}
