"""The Lua files say what they use, and luacheck finds nothing in them."""

from __future__ import annotations

import shutil

import pytest

from sharq_core.scheduler import library
from tests.scheduler import lua_check
from tests.scheduler.lua_names import files_declared, files_used
from tests.support.tools import missing_tool

FILES = library.lua_files()


def visible(name: str, files: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The files whose locals a file can see: those that all functions share, and itself."""
    return [(other, text) for other, text in files if other in (*library.SHARED_FILES, name)]


@pytest.fixture
def luacheck() -> None:
    """Skip the test if luacheck is missing, or fail it in CI."""
    if shutil.which(lua_check.PROGRAM) is None:
        missing_tool(lua_check.PROGRAM)


def test_each_lua_file_names_the_files_that_it_uses() -> None:
    for name, text in FILES:
        assert files_declared(text) == files_used(visible(name, FILES), name), name


def test_a_reference_to_another_file_is_found() -> None:
    touch = dict(FILES)["touch"]
    for line, expected in (
        ("  counters.open(tx)", ["counters", "touched"]),
        ("  local list = append(false, 1)", ["lists", "touched"]),
        ("  local values = {counters = 1, x = tx.counters} -- counters", ["touched"]),
        ("  local name = 'counters'", ["touched"]),
    ):
        changed = touch.replace("  touched.add(", f"{line}\n  touched.add(")
        files = [(name, changed if name == "touch" else text) for name, text in FILES]
        assert files_used(visible("touch", files), "touch") == expected


def test_each_function_file_says_its_keys_arguments_reply_and_cost() -> None:
    texts = dict(FILES)
    for function in library.FUNCTIONS:
        text = texts[function.name]
        head = text[: text.index("\nlocal ")]
        assert head.startswith(f"-- {function.name}: ")
        keys = head.partition("\n-- Keys: ")[2].partition("\n-- Args")[0].replace("\n--", "")
        assert keys.partition(" (")[0].split() == list(function.keys), function.name
        for label in ("Args", "Reply", "Cost", "Uses"):
            assert f"\n-- {label}: " in head, function.name


MISTAKES = {
    "unused local": ("do local left = 1 end", "W211"),
    "shadowed shared local": ("do local touched = tx; touched.add(touched) end", "W431"),
    "global set": ("forgotten = 1", "W111"),
    "global read": ("tx.now = missing", "W113"),
    "use above definition": ("leave.run(tx, args)", "W113"),
    "function that the store lacks": ("print(tx)", "W113"),
    "argument redefined": ("local tx = tx; tx.now = 1", "W412"),
}
CALL = "  touched.add(tx, args[2], args[3])"


def with_lines(*lines: str) -> tuple[str, int]:
    """Return the library with lines before a call of touch.lua, and the number of their first in that file."""
    number = dict(FILES)["touch"].splitlines().index(CALL) + 1
    return library.source().replace(CALL, "\n".join((*lines, CALL))), number


@pytest.mark.usefixtures("luacheck")
def test_luacheck_finds_each_mistake_with_its_place_and_nothing_in_the_library() -> None:
    text, number = with_lines(*(f"  {line}" for line, _ in MISTAKES.values()))
    found = lua_check.warnings(text)
    for place, (mistake, (_, code)) in enumerate(MISTAKES.items(), number):
        here = [warning for warning in found if warning.startswith(f"touch.lua:{place}:")]
        assert any(f"({code})" in warning for warning in here), (mistake, found)
        found = [warning for warning in found if warning not in here]
    assert found == []


@pytest.mark.usefixtures("luacheck")
def test_luacheck_names_the_place_of_a_syntax_error() -> None:
    text, number = with_lines("  tx.keys = =")
    (found,) = lua_check.warnings(text)
    assert found.startswith(f"touch.lua:{number}:") and "(E011)" in found


def test_a_missing_luacheck_fails_the_check_only_in_ci(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    assert lua_check.main() == 0
    assert "skipped" in capsys.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert lua_check.main() == 1
    assert "lua-check" in capsys.readouterr().err
