"""`sharq token new`, `ls` and `revoke`: what they write to the file of tokens, and what they leave as it is."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from router.access.token_file import read_tokens
from router.access.words import parse_line
from sharq_server.token_command import app
from sharq_server.token_file import add_token, remove_token

OTHER = f"other sha256:{sha256(b'other').hexdigest()}"
COMMENTED = f"# for the shop\n\n  {OTHER}   ops=read  \n# the end"


def sharq_token(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"SHARQ_AUTH_TOKENS_FILE": "", **environ})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def test_new_writes_the_line_of_the_token_that_it_prints(path: Path) -> None:
    words = [
        "--ops",
        "work,produce",
        "--types",
        "sms*,voice~x",
        "--caps",
        "acct17",
        "--max-queued",
        "50",
        "--rps",
        "20",
    ]
    made = sharq_token("new", "shop", *words, "--file", str(path))
    assert made.exit_code == 0
    secret = made.stdout.strip()
    assert secret.startswith("sharq_")
    assert "shown only once" in made.stderr
    digest = sha256(secret.encode()).hexdigest()
    line = f"shop sha256:{digest} ops=produce|work types=sms*,voice~x caps=acct17 max_queued=50 rps=20\n"
    assert path.read_text() == line
    assert path.stat().st_mode & 0o777 == 0o600
    bare = sharq_token("new", "all", "--file", str(path), "--json")
    shown = json.loads(bare.stdout)
    assert (shown["name"], shown["file"]) == ("all", str(path))
    assert path.read_text() == f"{line}all sha256:{sha256(shown['token'].encode()).hexdigest()}\n"


def test_other_lines_the_mode_and_a_link_stay(path: Path, tmp_path: Path) -> None:
    path.write_text(COMMENTED)
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert sharq_token("new", "shop", "--file", str(link)).exit_code == 0
    assert path.read_text().startswith(f"{COMMENTED}\nshop sha256:")
    assert path.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sharq_token("revoke", "shop", "--file", str(link)).exit_code == 0
    assert path.read_text() == f"{COMMENTED}\n"
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, path], "no unfinished file is left"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_the_owner_stays_when_root_changes_the_file(path: Path) -> None:
    path.write_text(f"{OTHER}\n")
    os.chown(path, 12_345, 12_346)
    assert sharq_token("new", "shop", "--file", str(path)).exit_code == 0
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 12_346)


def test_changes_at_the_same_time_lose_nothing(path: Path) -> None:
    path.write_text(f"{OTHER}\n")
    lines = [f"t{number} sha256:{sha256(str(number).encode()).hexdigest()}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda line: add_token(path, parse_line(line)), lines))
        list(threads.map(lambda number: remove_token(path, f"t{number}"), range(0, 40, 2)))
    assert {token.name for token in read_tokens(path)} == {"other", *(f"t{n}" for n in range(1, 40, 2))}


def test_ls_shows_what_each_token_may_do_and_no_digest(path: Path) -> None:
    path.write_text(
        f"{COMMENTED}\nshop sha256:{sha256(b'shop').hexdigest()} types=sms* caps=a,b rps=5 max_queued=7\n"
    )
    listed = sharq_token("ls", "--file", str(path))
    assert listed.exit_code == 0
    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["NAME", "OPS", "TYPES", "CAPS", "MAX", "QUEUED", "RPS"],
        ["other", "read", "all", "all", "-", "-"],
        ["shop", "all", "sms*", "a,b", "7", "5"],
    ]
    everything = ["produce", "work", "read", "operate", "admin"]
    assert json.loads(sharq_token("ls", "--file", str(path), "--json").stdout) == [
        {"name": "other", "ops": ["read"], "types": None, "caps": None, "max_queued": None, "rps": None},
        {"name": "shop", "ops": everything, "types": ["sms*"], "caps": ["a", "b"], "max_queued": 7, "rps": 5},
    ]


def test_the_last_token_stays_and_so_does_the_file(path: Path) -> None:
    path.write_text(COMMENTED)
    refused = sharq_token("revoke", "other", "--file", str(path))
    assert refused.exit_code == 1
    assert "other is the last token of" in refused.stderr
    assert path.read_text() == COMMENTED


def test_revoke_of_one_of_two_lines_with_the_same_token_says_that_it_stays_valid(path: Path) -> None:
    path.write_text(f"{OTHER}\nsecond{OTHER.removeprefix('other')}\n")
    done = sharq_token("revoke", "other", "--file", str(path))
    assert done.exit_code == 0
    assert "its token stays valid: the line second has the same token" in done.stdout
    assert [token.name for token in read_tokens(path)] == ["second"]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("new", "other"), 1, "has a token other already; revoke it first"),
        (("revoke", "nobody"), 1, "has no token nobody"),
        (("new", "a b"), 2, "Invalid value for NAME: expected a name of 1 to 100"),
        (
            ("new", "x", "--ops", "reed"),
            2,
            "Invalid value for --ops: 'reed' is unknown, expected produce, work",
        ),
        (
            ("new", "x", "--types", "a/b"),
            2,
            "Invalid value for --types: pattern 1: expected 1 to 100 characters",
        ),
        (
            ("new", "x", "--max-queued", "0"),
            2,
            "Invalid value for --max-queued: expected a whole number from 1",
        ),
        (
            ("new", "x", "--rps", "fast"),
            2,
            "Invalid value for --rps: expected a whole number from 1 to 1000000",
        ),
    ],
)
def test_what_is_wrong_is_told_and_the_file_stays(
    path: Path, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    path.write_text(COMMENTED)
    result = sharq_token(*arguments, "--file", str(path))
    assert result.exit_code == exit_code
    assert message in " ".join(result.stderr.split())
    assert path.read_text() == COMMENTED


def test_a_file_with_a_wrong_line_is_told_and_left_alone(path: Path) -> None:
    path.write_text(f"{OTHER}\nshop secret-token\n")
    for arguments in (("new", "x"), ("revoke", "other"), ("ls",)):
        result = sharq_token(*arguments, "--file", str(path))
        assert result.exit_code == 1
        assert "line 2: expected NAME sha256:<64 hexadecimal digits>" in result.stderr
        assert "secret-token" not in result.output
    assert path.read_text() == f"{OTHER}\nshop secret-token\n"


def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    away = str(tmp_path / "away" / "tokens")
    for arguments in (("new", "x"), ("revoke", "x"), ("ls",)):
        result = sharq_token(*arguments, "--file", away)
        assert result.exit_code == 1
        assert "No such file or directory" in result.stderr


def test_the_file_comes_from_the_configuration_or_the_environment(path: Path, tmp_path: Path) -> None:
    config = tmp_path / "sharq.conf"
    config.write_text(f"[auth]\ntokens_file : {path}\n")
    assert sharq_token("new", "one", "--config", str(config)).exit_code == 0
    assert sharq_token("new", "two", SHARQ_AUTH_TOKENS_FILE=str(path)).exit_code == 0
    assert [token.name for token in read_tokens(path)] == ["one", "two"]
    unnamed = sharq_token("ls")
    assert unnamed.exit_code == 2
    assert "SHARQ_AUTH_TOKENS_FILE names the file of tokens" in " ".join(unnamed.stderr.split())
    config.write_text("[auth]\ntokens : x\n")
    wrong = sharq_token("ls", "--config", str(config))
    assert wrong.exit_code == 1
    assert "unknown key [auth] tokens" in wrong.stderr
