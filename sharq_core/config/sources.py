"""Reads settings from an INI file, the environment or the command line; each gives a map of key to text.

Only known keys leave this module. A key that names a file (`password_file`) is replaced by the file's content.
"""

from __future__ import annotations

import configparser
import difflib
import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from sharq_core.config.kinds import Secret, shown_path
from sharq_core.config.settings import KINDS, SECTIONS, Key
from sharq_core.errors import ConfigError

_FILE_SUFFIX = "_file"
_PREFIX = "SHARQ_"
CLIENT_VARIABLES = frozenset({"SHARQ_PROFILE", "SHARQ_TOKEN", "SHARQ_URL"})
"""The client's variables: neither settings of a server nor misspelled ones."""

_MAX_SECRET_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_KUBERNETES_LINK = re.compile(r"(tcp|udp|sctp)://[^/]*:[0-9]+")
"""The value that Kubernetes puts into <SERVICE>_PORT for a service named, say, sharq-server or sharq-redis."""


class Layer(enum.StrEnum):
    """The kind of place that gives a setting."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command line"


class Given(msgspec.Struct, frozen=True):
    """The non-empty text given for a key, and its place for errors.

    Attributes:
        file: the file that holds the text; None if it is in no file.
    """

    text: Secret
    origin: str
    layer: Layer
    file: Path | None = None


Source: TypeAlias = dict[Key, Given]

Refuse: TypeAlias = Callable[[str], None]
"""A function that is called with each problem. It raises ConfigError, or it keeps the problem and returns, and the
setting then counts as absent.
"""


class Gathered(msgspec.Struct, frozen=True):
    """The settings that are given, and a line for each SHARQ_ variable without effect."""

    given: Source
    notices: tuple[str, ...]


def refuse_at_once(problem: str) -> None:
    """Raise ConfigError for the first problem."""
    raise ConfigError(problem)


def gather(
    path: Path | None, environ: Mapping[str, str], options: Mapping[Key, str], refuse: Refuse
) -> Gathered:
    """Return the settings that are given: command line over environment over file.

    Args:
        path: the INI file; None for none.
        environ: the environment; its SHARQ_ variables are read.
        options: texts given on the command line.
        refuse: is called with each problem: an unreadable file, an unknown section or key, a key given twice.
    """
    file = read_file(path, refuse) if path is not None else {}
    environment = read_environment(environ, refuse)
    return Gathered({**file, **environment.given, **read_options(options)}, environment.notices)


def read_file(path: Path, refuse: Refuse = refuse_at_once) -> Source:
    """Return the settings in an INI file. Refuse what cannot be read, and unknown sections and keys."""
    text = _read_text(path, refuse)
    parser = _parse_ini(path, text, refuse) if text is not None else _ini_parser()
    given: Source = {}
    for section in parser.sections():
        if section not in SECTIONS:
            guess = _did_you_mean(section, SECTIONS)
            refuse(f"{path}: unknown section [{_shown_name(section)}]{guess}")
            continue
        for name, text in parser.items(section):
            key = Key(section, name)
            origin = f"{path}: {key}"
            if not _is_known(key):
                refuse(f"{path}: unknown key {Key(section, _shown_name(name))}{_other_place(key)}")
            elif "\n" in text:
                refuse(f"{origin}: a value is one line, but the line after it is indented")
            elif text:
                given[key] = Given(Secret(text), origin, Layer.FILE, path)
    return _take_from_files(given, refuse)


def read_environment(environ: Mapping[str, str], refuse: Refuse = refuse_at_once) -> Gathered:
    """Return the settings in the SHARQ_ variables. Refuse two variables for the same key."""
    given: Source = {}
    notices = []
    for variable, value in sorted(environ.items()):
        if not variable.startswith(_PREFIX) or variable in CLIENT_VARIABLES:
            continue
        key = _VARIABLES.get(variable)
        if key is None:
            guess = _did_you_mean(variable, _VARIABLES)
            notices.append(f"{variable}: no such setting, not used{guess}")
        elif key.name == "port" and _KUBERNETES_LINK.fullmatch(value):
            notices.append(f"{variable}: names a Kubernetes service, not a port; not used")
        elif value.strip():
            if key in given:
                refuse(f"{variable} and {given[key].origin} both give {key}")
            given[key] = Given(Secret(value.strip()), variable, Layer.ENVIRONMENT)
    return Gathered(_take_from_files(given, refuse), tuple(notices))


def read_options(options: Mapping[Key, str]) -> Source:
    """Return the settings given on the command line, named like their keys, with dashes: `--node-id`."""
    given = {key: text.strip() for key, text in options.items()}
    return {
        key: Given(Secret(text), f"--{key.name.replace('_', '-')}", Layer.COMMAND_LINE)
        for key, text in given.items()
        if text
    }


class _Fault(msgspec.Struct, frozen=True):
    line: int
    reason: str
    is_key: bool = False


def _ini_parser(*, is_strict: bool = True) -> configparser.ConfigParser:
    return configparser.ConfigParser(
        interpolation=None,
        default_section="",  # [DEFAULT] is a section like others, so it is refused by name
        inline_comment_prefixes=(";",),
        empty_lines_in_values=False,
        strict=is_strict,
    )


def _parse_ini(path: Path, text: str, refuse: Refuse) -> configparser.ConfigParser:
    """Parse an INI file. If `refuse` returns, the lines that were refused are left out."""
    lines, is_strict = text.split("\n"), True
    while True:
        parser = _ini_parser(is_strict=is_strict)
        faults, is_whole = _read_lines(parser, lines)
        for fault in faults:
            refuse(f"{path}: line {fault.line}: {fault.reason}")
        if is_whole:
            return parser
        # The parser has stopped at a repetition: it reads the file again without the repeated key. The keys of a
        # repeated section count as those of the first one.
        is_strict = is_strict and faults[0].is_key
        lines[faults[0].line - 1] = ";" if faults[0].is_key else lines[faults[0].line - 1]


def _read_lines(parser: configparser.ConfigParser, lines: Sequence[str]) -> tuple[list[_Fault], bool]:
    """Read lines into a parser. Return what is wrong with them, and False if it stopped at the first repetition.

    The parser's errors do not leave this function: they quote lines, and a line may hold a password.
    """
    try:
        parser.read_string("\n".join(lines))
    except configparser.DuplicateOptionError as error:
        key = Key(error.section, _shown_name(error.option))
        return [_Fault(error.lineno or 1, f"{key} is given a second time", is_key=True)], False
    except configparser.DuplicateSectionError as error:
        reason = f"[{_shown_name(error.section)}] is opened a second time"
        return [_Fault(error.lineno or 1, reason)], False
    except configparser.MissingSectionHeaderError as error:
        return [_Fault(error.lineno, "stands before the first [section]")], True
    except configparser.ParsingError as error:
        reason = "expected [section], key : value or key = value"
        return [_Fault(line, reason) for line, _ in error.errors], True
    return [], True


def _read_text(path: Path, refuse: Refuse) -> str | None:
    """Return the text of a file; None if it was refused."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        refuse(f"{path}: cannot be read: {_reason(error)}")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    refuse(f"{path}: line {line}: is not UTF-8")
    return None


def _take_from_files(given: Source, refuse: Refuse) -> Source:
    """Replace each `<secret>_file` by `<secret>` with the file's stripped content."""
    taken: Source = {}
    for key, value in given.items():
        if key in KINDS:
            taken[key] = value
            continue
        secret = Key(key.section, key.name.removesuffix(_FILE_SUFFIX))
        if secret in given:
            refuse(f"{given[secret].origin} and {value.origin} are both given; give only one of them")
            continue
        text, problem = _read_secret(value)
        if problem:
            refuse(problem)
        else:
            taken[secret] = Given(Secret(text), value.origin, value.layer, Path(value.text.reveal()))
    return taken


def _read_secret(named: Given) -> tuple[str, str]:
    """Return the content of a secret's file, and what is wrong with it, or an empty text."""
    path = Path(named.text.reveal())
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return "", f"{named.origin}: {shown_path(path)} is not UTF-8"
    except (OSError, ValueError) as error:
        return "", f"{named.origin}: {shown_path(path)} cannot be read: {_reason(error)}"
    if not text:
        return "", f"{named.origin}: {shown_path(path)} is empty"
    if len(content) > _MAX_SECRET_BYTES:
        return "", f"{named.origin}: {shown_path(path)} is larger than {_MAX_SECRET_BYTES} bytes"
    return text, ""


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def _shown_name(name: str) -> str:
    """Return the name of a key or section for an error; only the first word of `password hunter2 =`."""
    first, *others = _NAME.findall(name) or [""]
    return first if first == name else f"{first} ..." if others or first else "..."


def _is_known(key: Key) -> bool:
    return key in KINDS or _is_secret_file(key)


def _is_secret_file(key: Key) -> bool:
    kind = KINDS.get(Key(key.section, key.name.removesuffix(_FILE_SUFFIX)))
    return key.name.endswith(_FILE_SUFFIX) and kind is not None and kind.is_secret


def _other_place(key: Key) -> str:
    homes = [section for section in SECTIONS if _is_known(Key(section, key.name))]
    if homes:
        return f"; {key.name} belongs in [{homes[0]}]"
    return _did_you_mean(key.name, [other.name for other in _all_keys() if other.section == key.section])


def _did_you_mean(word: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(names), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _all_keys() -> list[Key]:
    files = [Key(key.section, key.name + _FILE_SUFFIX) for key, kind in KINDS.items() if kind.is_secret]
    return [*KINDS, *files]


def _variables() -> dict[str, Key]:
    """Map SHARQ_<SECTION>_<KEY> to keys, a dash as an underscore; [sharq-server] may omit its own SHARQ_."""
    named = {}
    for key in _all_keys():
        section = key.section.replace("-", "_").upper()
        named[f"{_PREFIX}{section}_{key.name.upper()}"] = key
        named[f"{_PREFIX}{section.removeprefix(_PREFIX)}_{key.name.upper()}"] = key
    return named


_VARIABLES = _variables()
