"""Secrets in files that every user of the machine can read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sharq_core.config import load

HUSH = "hush-hush"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everyone may enter, as those of tests are not."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def written(path: Path, text: str, mode: int) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("variable", "needs"),
    [
        ("SHARQ_AUTH_TOKENS_FILE", {}),
        ("SHARQ_CLUSTER_SECRET_FILE", {}),
        ("SHARQ_REDIS_PASSWORD_FILE", {"SHARQ_REDIS_HOST": "store"}),
        ("SHARQ_SERVER_TLS_KEY", {"SHARQ_SERVER_TLS_CERT": "/cert"}),
        (
            "SHARQ_CLUSTER_LINK_TLS_KEY",
            {"SHARQ_CLUSTER_LINK_TLS_CERT": "/c", "SHARQ_CLUSTER_LINK_TLS_CA": "/a"},
        ),
        ("SHARQ_REDIS_TLS_KEY", {"SHARQ_REDIS_TLS_CERT": "/cert", "SHARQ_REDIS_HOST": "store"}),
    ],
)
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o640, 0o440, 0o600])
def test_a_file_with_a_secret_is_named_if_others_can_read_it(
    folder: Path, variable: str, needs: dict[str, str], mode: int
) -> None:
    lines = load(None, {variable: written(folder / "file", HUSH, mode), **needs}).readable_secrets
    if mode & 0o004:
        (line,) = lines
        assert line.startswith(f"{variable}: everyone on this machine can read the file that holds it (mode ")
        assert f"(mode {mode:04o})" in line
        assert HUSH not in line
    else:
        assert lines == ()


def test_a_secret_in_the_configuration_file_itself_counts(folder: Path) -> None:
    text = "[redis]\nhost : store\npassword : hush-hush\n[cluster]\nsecret : hush-hush\n"
    path = folder / "sharq.conf"
    written(path, text, 0o644)
    lines = load(path, {}).readable_secrets
    assert [line.partition(": everyone")[0] for line in lines] == [
        f"{path}: [redis] password",
        f"{path}: [cluster] secret",
    ]
    assert HUSH not in str(lines)
    path.chmod(0o600)
    assert load(path, {}).readable_secrets == ()


def test_only_a_url_with_a_password_is_a_secret(folder: Path) -> None:
    path = folder / "sharq.conf"
    written(path, "[redis]\nurl : redis://store:6379/0\n", 0o644)
    assert load(path, {}).readable_secrets == ()
    written(path, "[redis]\nurl : redis://u:hush-hush@store:6379/0\n", 0o644)
    assert len(load(path, {}).readable_secrets) == 1


def test_a_file_in_a_folder_that_others_cannot_enter_is_well(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    inner.chmod(0o700)
    path = written(inner / "tokens", HUSH, 0o644)
    assert load(None, {"SHARQ_AUTH_TOKENS_FILE": path}).readable_secrets == ()
    inner.chmod(0o755)
    assert len(load(None, {"SHARQ_AUTH_TOKENS_FILE": path}).readable_secrets) == 1


def test_a_missing_file_and_a_secret_in_the_environment_are_not_named(folder: Path) -> None:
    environ = {"SHARQ_AUTH_TOKENS_FILE": str(folder / "nothing"), "SHARQ_CLUSTER_SECRET": HUSH}
    assert load(None, environ).readable_secrets == ()
