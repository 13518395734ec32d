"""The programs of docs/django.md, run as they are printed, in a project that is made of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.test_pages import environ, programs
from tests.support.processes.servers import PATIENT, SharqServer, running_server

pytest.importorskip("django", reason="Django 6 needs Python 3.12 or newer")

DEADLINE_S = 60

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
execute_from_command_line(sys.argv)
"""

SETTINGS = """
SECRET_KEY = "a test"
USE_TZ = True
"""


def block(words: str) -> str:
    """Return the one Python block of the page that has these words."""
    (found,) = [text for text in programs("django.md") if words in text]
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of a project with the settings, the limits and the tasks of the page."""
    (tmp_path / "manage.py").write_text(MANAGE)
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").touch()
    (shop / "settings.py").write_text(SETTINGS + block("INSTALLED_APPS"))
    (shop / "limits.py").write_text(block("def job_of"))
    (shop / "tasks.py").write_text(block("def send_text"))
    return tmp_path


@pytest.fixture
def manage(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command of the project."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=project, input=stdin, capture_output=True, text=True, timeout=DEADLINE_S, check=True
        )

    return run


def point_at(server: SharqServer, project: Path) -> None:
    settings = project / "shop" / "settings.py"
    settings.write_text(settings.read_text().replace("http://127.0.0.1:8080", server.url))


def test_the_project_works_as_printed(
    project: Path, manage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    with running_server(environ=PATIENT) as server:
        point_at(server, project)
        assert "no issues" in manage("check").stdout
        command = [sys.executable, "manage.py", "sharq_worker"]
        with subprocess.Popen(
            command, cwd=project, env=environ(server), stdout=subprocess.PIPE, text=True
        ) as worker:
            try:
                shell = block("letters = ") + block("backend.ref(result.id)")
                lines = manage("shell", "--no-imports", "--command", shell).stdout.splitlines()
                worker.send_signal(signal.SIGTERM)
                output, _ = worker.communicate(timeout=DEADLINE_S)
            finally:
                worker.kill()
    assert lines[0].startswith("texts:")
    assert lines[0].endswith(":acme READY")
    assert lines[1:] == ["finished 1", "SUCCESSFUL {'segments': 1}", "delayed"]
    assert worker.returncode == 0
    assert "worker of default, texts, up to 10 tasks at once" in output
    assert "to +15550100 for acme: Hello" in output


def test_the_test_of_the_page_passes(project: Path) -> None:
    (project / "test_tasks.py").write_text(block("def test_a_customer"))
    (project / "conftest.py").write_text(
        "import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'shop.settings'\nimport django\ndjango.setup()\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_sharq", str(project)]
    done = subprocess.run(
        command,
        cwd=project,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # without the plugins of this project
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_has_no_other_programs() -> None:
    assert len(programs("django.md")) == 7
    compile(block("def export"), "docs/django.md", "exec", flags=0, dont_inherit=True)
