"""The file of tokens: what it may hold, what is refused, and that no error shows a line of it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from router.access.token_file import new_token, read_tokens
from router.http.tokens import Guard
from sharq_core.errors import ConfigError

DIGEST = sha256(b"token").hexdigest()


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "tokens"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_line_is_a_name_and_a_digest_and_comments_are_skipped(tmp_path: Path) -> None:
    path = written(tmp_path, f"# for the senders\n\n  sms-1   sha256:{DIGEST}  \n  # more\n")
    (token,) = read_tokens(path)
    assert token.name == "sms-1"
    assert token.digest == sha256(b"token").digest()


def test_a_byte_order_mark_at_the_beginning_of_the_file_is_taken_off(tmp_path: Path) -> None:
    (token,) = read_tokens(written(tmp_path, f"sms-1 sha256:{DIGEST}\n".encode("utf-8-sig")))
    assert token.name == "sms-1"


def test_a_token_in_place_of_the_file_is_not_shown() -> None:
    token, _ = new_token("sms-1")
    with pytest.raises(ConfigError, match="the file that it names cannot be read") as caught:
        read_tokens(Path(token))
    assert token not in str(caught.value)


def test_a_new_token_is_what_its_line_says(tmp_path: Path) -> None:
    token, line = new_token("worker@eu")
    (known,) = read_tokens(written(tmp_path, line))
    assert known.name == "worker@eu"
    assert known.digest == sha256(token.encode()).digest()
    assert new_token("worker@eu")[0] != token


def test_a_token_cannot_have_a_name_that_its_line_could_not_hold() -> None:
    for name in ("", "two words", "n" * 101, "#comment", "new\nline"):
        with pytest.raises(ValueError, match="expected a name"):
            new_token(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no token; create one with sharq-server --new-token NAME"),
        ("# only words\n\n", "has no token; create one with sharq-server --new-token NAME"),
        (b"\xff\xfe", "is not UTF-8"),
        ("a" * (1 << 20) + "b", "is larger than 1048576 bytes"),
        (f"a sha256:{DIGEST}\na sha256:{DIGEST}\n", ": the name a occurs twice"),
    ],
)
def test_a_file_that_lets_nobody_in_is_refused(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_tokens(written(tmp_path, text))
    assert str(refused.value).endswith(words)
    assert str(refused.value).startswith("[auth] tokens_file: ")


def test_a_token_on_two_lines_with_different_words_is_refused(tmp_path: Path) -> None:
    """One of the lines would not hold, and its reader could not tell which."""
    with pytest.raises(ConfigError, match=r"a and b are the same token with different words$"):
        read_tokens(written(tmp_path, f"a sha256:{DIGEST}\nb sha256:{DIGEST} ops=read\n"))
    same = f"a sha256:{DIGEST} ops=read types=sms*\nb sha256:{DIGEST} ops=read types=sms*\n"
    assert [token.name for token in read_tokens(written(tmp_path, same))] == ["a", "b"]


def test_a_token_is_the_same_after_the_file_is_read_again(tmp_path: Path) -> None:
    """The streams of its holder go on when other lines are added."""
    _, line = new_token("clerk")
    guard = Guard(written(tmp_path, f"{line} ops=read types=sms*,voice\n"), frozenset())
    (token,) = read_tokens(guard.path)
    guard.read_again()
    assert guard.still_has(token)
    written(tmp_path, f"{line} ops=read types=sms*\n")
    guard.read_again()
    assert not guard.still_has(token)


@pytest.mark.parametrize(
    "line",
    [
        "a secret-token",
        f"a {DIGEST}",
        f"sha256:{DIGEST}",
        f"a sha256:{DIGEST.upper()}",
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_not_shown(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_tokens(written(tmp_path, f"# a comment\n{line}\n"))
    assert str(refused.value).endswith("line 2: expected NAME sha256:<64 hexadecimal digits>")
    assert line not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokens cannot be read: No such file or directory$"):
        read_tokens(tmp_path / "tokens")
