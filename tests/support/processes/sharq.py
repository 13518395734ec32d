"""Runs the command `sharq`: in this process, which is quick, or as a user does, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from typer.testing import CliRunner

from sharq_client.cli.app import app

SCRIPT = Path(sys.executable).with_name("sharq")
DEADLINE_S = 60.0


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
        result = CliRunner().invoke(app, arguments, env=self._environ, prog_name="sharq")
        outcome = Outcome(result.exit_code, result.stdout, result.stderr)
        # An exception that reaches the runner would be a traceback for the user.
        assert result.exception is None or isinstance(result.exception, SystemExit), outcome
        assert outcome.code == code, outcome
        return outcome

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
