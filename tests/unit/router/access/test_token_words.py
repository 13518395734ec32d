"""The words of a line of the tokens file: what they mean, and how a wrong one is named without showing the line."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.access.name_patterns import NamePatterns
from router.access.permissions import ALL_PERMISSIONS, Permission, TypesAt
from router.access.request_rate import RequestRate
from router.access.words import parse_line, write_line
from router.api.routes.table import ROUTES, SERVED
from sharq_core.errors import Forbidden, InvalidRequest
from sharq_core.models import FinishJob, NewJob

DIGEST = sha256(b"token").hexdigest()
BARE = f"sms sha256:{DIGEST}"
HANDLERS = Path(__file__).parents[4] / "router" / "handlers"


def job(queue_type: str, cap: int | None = None) -> NewJob:
    return NewJob(queue_type, "q", "j", b"1", 5, 0, max_queued_length=cap)


def test_a_line_without_words_limits_nothing() -> None:
    token = parse_line(BARE)
    assert token.permissions == ALL_PERMISSIONS
    assert (token.types, token.max_queued, token.rps, token.is_limited) == (None, None, None, False)
    assert token.sees("any~type")


@pytest.mark.parametrize(
    ("words", "permissions"),
    [
        ("ops=work", {"work"}),
        ("ops=produce|read", {"produce", "read"}),
        ("ops=produce,read", {"produce", "read"}),
        ("ops=admin", {"produce", "work", "read", "operate", "admin"}),
        ("ops=read|admin", {"produce", "work", "read", "operate", "admin"}),
    ],
)
def test_ops_are_joined_by_bars_or_commas_and_admin_is_all_of_them(words: str, permissions: set[str]) -> None:
    assert set(parse_line(f"{BARE} {words}").permissions) == permissions


@pytest.mark.parametrize(
    ("patterns", "seen", "unseen"),
    [
        ("sms", ["sms"], ["sms2", "xsms", "SMS", "sms~x"]),
        ("sms*,voice~x", ["sms", "sms2", "sms~carrier", "voice~x"], ["voice", "voice~xy", "mail"]),
        ("*~eu", ["sms~eu"], ["sms~us", "~e"]),
        ("a*b*c", ["abc", "a--b--c"], ["ab", "acb"]),
        ("a.b", ["a.b"], ["axb"]),
        ("*", ["sms", "a~b"], []),
    ],
)
def test_a_star_of_a_type_stands_for_any_text(patterns: str, seen: list[str], unseen: list[str]) -> None:
    token = parse_line(f"{BARE} types={patterns}")
    assert [queue_type for queue_type in [*seen, *unseen] if token.sees(queue_type)] == seen


@pytest.mark.parametrize("patterns", ["*-*-*-*eu", "*ab*ab*ab*c", "-*-*-*-*"])
def test_a_match_takes_linear_time(patterns: str) -> None:
    """A path is up to 8 KB long, and its type is compared before its form is checked."""
    token = parse_line(f"{BARE} types={patterns}")
    started_s = time.process_time()
    for text in ("-" * 400, "ab" * 200):
        assert token.sees(text) == (patterns == "-*-*-*-*" and text[0] == "-")
    assert time.process_time() - started_s < 0.1


@settings(max_examples=300)
@given(
    st.text("ab*", min_size=1, max_size=8).filter(lambda pattern: pattern.count("*") <= 4),
    st.text("ab", max_size=12),
)
def test_a_match_agrees_with_that_of_file_names(pattern: str, text: str) -> None:
    assert NamePatterns([pattern]).match(text) == fnmatchcase(text, pattern)


def test_numbers_and_words_in_any_order_are_read() -> None:
    token = parse_line(f"{BARE} rps=20 max_queued=1000   types=sms caps=a*,b ops=produce")
    assert (token.rps, token.max_queued, token.is_limited) == (20, 1000, True)
    assert write_line(token) == f"{BARE} ops=produce types=sms caps=a*,b max_queued=1000 rps=20"
    assert parse_line(write_line(token)).permissions == {Permission.PRODUCE}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("ops", "word 3 is unknown, expected one of ops=, types=, caps=, max_queued=, rps="),
        (
            "rps=2 opps=work",
            "word 4, opps=, is unknown, expected one of ops=, types=, caps=, max_queued=, rps=",
        ),
        ("ops=work ops=read", "word 4: ops= occurs twice"),
        ("ops=", "word 3: ops=: permission 1 is unknown, expected produce, work, read, operate, admin"),
        ("ops=work|wrok", "word 3: ops=: 'wrok' is unknown, expected produce, work, read, operate, admin"),
        ("ops=WORK", "word 3: ops=: permission 1 is unknown, expected produce, work, read, operate, admin"),
        ("types=", "word 3: types=: pattern 1: expected 1 to 100 characters"),
        ("types=sms,a/b", "word 3: types=: pattern 2: expected 1 to 100 characters"),
        (
            "types=*a*b*c*d*",
            "word 3: types=: pattern 1: expected 1 to 100 characters of A-Z a-z 0-9 _ - . + @ ~ and",
        ),
        (f"types={','.join(['a'] * 101)}", "word 3: types=: expected 1 to 100 patterns"),
        ("max_queued=0", "word 3: max_queued=: expected a whole number from 1 to 2147483647"),
        ("max_queued=1e3", "word 3: max_queued=: expected a whole number from 1 to 2147483647"),
        ("rps=-1", "word 3: rps=: expected a whole number from 1 to 1000000"),
        ("sharq_c2VjcmV0LXNlY3JldC1zZWNyZXQ", "word 3 is unknown"),
        ("rps=sharq_c2VjcmV0LXNlY3JldC1zZWNyZXQ", "word 3: rps=: expected a whole number"),
        ("ops=sharq_c2VjcmV0LXNlY3JldC1zZWNyZXQ", "word 3: ops=: permission 1 is unknown"),
        ("sharq_c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "word 3 is unknown"),
    ],
)
def test_a_wrong_word_is_named_and_no_secret_is_shown(words: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_line(f"{BARE} {words}")
    assert str(refused.value).startswith(message)
    assert "c2VjcmV0" not in str(refused.value)
    assert DIGEST not in str(refused.value)


def test_entries_of_forbidden_types_become_errors_and_others_stay() -> None:
    token = parse_line(f"{BARE} types=sms*")
    wrong = InvalidRequest("jobs[1].payload: required")
    done = FinishJob("sms", "q", "j", None)
    first, second, third = token.limited([done, wrong, FinishJob("mail", "q", "j", None)])
    assert first is done
    assert second is wrong
    assert isinstance(third, Forbidden)
    assert third.message == (
        "jobs[2].queue_type: the token sms has only types=sms*, not 'mail'; nothing was done"
    )


def test_a_single_value_of_a_forbidden_type_is_refused() -> None:
    token = parse_line(f"{BARE} types=sms*")
    assert token.limited((job("sms"), True)) == (job("sms"), True)
    assert token.limited(None) is None
    for parsed in (job("mail"), (job("mail"), True), ("rule", job("mail"), b"")):
        with pytest.raises(Forbidden):
            token.limited(parsed)


@pytest.mark.parametrize(("cap", "in_force"), [(None, 10), (3, 3), (10, 10), (1000, 10)])
def test_max_queued_lowers_the_limit_of_an_enqueue(cap: int | None, in_force: int) -> None:
    token = parse_line(f"{BARE} max_queued=10")
    (limited,) = token.limited([job("sms", cap)])
    assert limited.max_queued_length == in_force
    assert token.limited((job("sms", cap), False))[0].max_queued_length == in_force


def test_a_rate_lets_a_second_of_requests_through_at_once_and_then_refills(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    monkeypatch.setattr("router.access.request_rate.monotonic", lambda: now_s)
    rate = RequestRate(3)
    assert [rate.take() for _ in range(4)] == [True, True, True, False]
    now_s += 1 / 3 + 0.001
    assert [rate.take() for _ in range(2)] == [True, False]
    now_s += 60
    assert [rate.take() for _ in range(4)] == [True, True, True, False]
    rate.change(5)
    assert [rate.take() for _ in range(3)] == [True, True, False], "what was used stays used"


def test_every_route_with_a_type_in_its_path_says_so_and_no_other_does() -> None:
    for route in ROUTES:
        has_type = ["{queue_type}" in path for path in route.paths]
        assert all(has_type) == any(has_type)
        if route.types is TypesAt.QUERY:
            continue
        assert (route.types is TypesAt.PATH) == all(has_type), route.operation


def test_routes_of_one_operation_have_one_rule() -> None:
    rules: dict[str, set[tuple[tuple[Permission, ...], TypesAt]]] = {}
    for route in SERVED:
        rules.setdefault(route.operation, set()).add((route.permissions, route.types))
    assert {operation: found for operation, found in rules.items() if len(found) > 1} == {}


def test_only_operations_without_content_need_no_permission() -> None:
    free = {route.operation for route in SERVED if not route.permissions}
    files = {"console", "console_file", "console_view", "console_widget"}
    assert free == {"hello", "healthz", "readyz", "openapi", "token", *files}
    assert {route.operation for route in SERVED if route.is_open} == free - {"openapi", "token"}


def calls_in(tree: ast.AST, is_wanted: Callable[[ast.Attribute], bool]) -> list[str]:
    return [
        ast.unparse(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_wanted(node.func)
    ]


def test_handlers_get_bodies_only_by_the_way_that_checks_their_types() -> None:
    """A handler that read or parsed a body itself could forget the token's types and limits."""
    modules = sorted(HANDLERS.rglob("*.py"))
    assert len(modules) > 10
    bypasses = {
        path.name: found
        for path in modules
        if (
            found := calls_in(
                ast.parse(path.read_text()),
                lambda called: called.attr == "body" or ast.unparse(called) == "self._parser.run",
            )
        )
    }
    assert bypasses == {}
