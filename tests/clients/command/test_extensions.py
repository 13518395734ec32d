"""Commands of `sharq` that other distributions provide."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest
import typer
from typer.testing import CliRunner

from sharq_client.cli.registry import group
from sharq_client.cli.traffic import extensions
from sharq_client.cli.traffic.extensions import add_extensions
from tests.support.processes.sharq import Sharq

BROKEN = EntryPoint("broken", "no_such_module:app", extensions.GROUP)
CONFIG = EntryPoint("config", "sharq_server.config_command:app", extensions.GROUP)


@pytest.fixture(autouse=True)
def points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "entry_points", lambda group: EntryPoints((BROKEN, CONFIG)))


def program(*arguments: str) -> typer.Typer:
    app = group(about="A program.")
    app.command("own")(lambda: None)
    add_extensions(app, arguments)
    return app


def test_help_lists_the_commands_of_the_server() -> None:
    text = Sharq("http://127.0.0.1:9").process("--help").out
    assert extensions.SECTION in text
    assert "config" in text.partition(extensions.SECTION)[2]
    shown = Sharq("http://127.0.0.1:9").process("config", "check", "--help").out
    assert "--no-environment" in shown
    assert shown.startswith("Usage: sharq config check [OPTIONS] [FILE]\n")
    assert "\nExamples:\n  sharq config check sharq.conf\n" in shown


def test_command_that_cannot_be_loaded_is_told_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(program("--help"), ["--help"])
    assert result.exit_code == 0 and "config" in result.stdout and "broken" not in result.stdout
    assert capsys.readouterr().err == (
        "sharq: the command broken cannot be loaded from no_such_module:app: No module named 'no_such_module'\n"
    )


def test_commands_are_loaded_only_if_they_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    program("own", "--help")
    assert capsys.readouterr().err == ""
    result = CliRunner().invoke(program("config", "check"), ["config", "check", "--no-environment"])
    assert (result.exit_code, result.stdout) == (0, "The configuration is right.\n")
