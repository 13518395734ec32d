"""Reads settings from an INI file, the environment or the command line; each gives a map of key to text.

Only known keys leave this module. A key that names a file (`password_file`) is replaced by the file's content. Not
here: the meaning of the text (kinds.py, settings.py).
"""

from __future__ import annotations

import configparser
import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from sharq_core.config.kinds import Secret, shown_path
from sharq_core.config.settings import KINDS, SECTIONS, Key
from sharq_core.errors import ConfigError

_FILE_SUFFIX = "_file"
_PREFIX = "SHARQ_"
CLIENT_TOKEN = "SHARQ_TOKEN"
"""The client's variable: neither a setting of a server nor a misspelled one."""

_MAX_SECRET_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_KUBERNETES_LINK = re.compile(r"(tcp|udp|sctp)://[^/]*:[0-9]+")
"""The value that Kubernetes puts into <SERVICE>_PORT for a service named, say, sharq-server or sharq-redis."""


class Given(msgspec.Struct, frozen=True):
    """The non-empty text given for a key, and its place for errors."""

    text: Secret
    origin: str


Source: TypeAlias = dict[Key, Given]


class EnvironmentContent(msgspec.Struct, frozen=True):
    """The settings in the environment, and a line for each SHARQ_ variable without effect."""

    given: Source
    notices: tuple[str, ...]


def read_file(path: Path) -> Source:
    """Return the settings in an INI file.

    Raises:
        ConfigError: the file cannot be read, is not an INI file, or has an unknown section or key.
    """
    parser = _parse_ini(path, _read_text(path))
    given: Source = {}
    for section in parser.sections():
        if section not in SECTIONS:
            guess = _did_you_mean(section, SECTIONS)
            raise ConfigError(f"{path}: unknown section [{_shown_name(section)}]{guess}")
        for name, text in parser.items(section):
            key = Key(section, name)
            origin = f"{path}: {key}"
            if not _is_known(key):
                shown = Key(section, _shown_name(name))
                raise ConfigError(f"{path}: unknown key {shown}{_other_place(key)}")
            if "\n" in text:
                raise ConfigError(f"{origin}: a value is one line, but the line after it is indented")
            if text:
                given[key] = Given(Secret(text), origin)
    return _take_from_files(given)


def read_environment(environ: Mapping[str, str]) -> EnvironmentContent:
    """Return the settings in the SHARQ_ variables.

    Raises:
        ConfigError: two variables give the same key.
    """
    given: Source = {}
    notices = []
    for variable, value in sorted(environ.items()):
        if not variable.startswith(_PREFIX) or variable == CLIENT_TOKEN:
            continue
        key = _VARIABLES.get(variable)
        if key is None:
            guess = _did_you_mean(variable, _VARIABLES)
            notices.append(f"{variable}: no such setting, not used{guess}")
        elif key.name == "port" and _KUBERNETES_LINK.fullmatch(value):
            notices.append(f"{variable}: names a Kubernetes service, not a port; not used")
        elif value.strip():
            if key in given:
                raise ConfigError(f"{variable} and {given[key].origin} both give {key}")
            given[key] = Given(Secret(value.strip()), variable)
    return EnvironmentContent(_take_from_files(given), tuple(notices))


def read_options(options: Mapping[Key, str]) -> Source:
    """Return the settings given on the command line, named like their keys, with dashes: `--node-id`."""
    given = {key: text.strip() for key, text in options.items()}
    return {
        key: Given(Secret(text), f"--{key.name.replace('_', '-')}") for key, text in given.items() if text
    }


def _parse_ini(path: Path, text: str) -> configparser.ConfigParser:
    """Parse an INI file. The parser's errors are not chained: they quote lines, and a line may hold a password."""
    parser = configparser.ConfigParser(
        interpolation=None,
        default_section="",  # [DEFAULT] is a section like others, so it is refused by name
        inline_comment_prefixes=(";",),
        empty_lines_in_values=False,
    )
    try:
        parser.read_string(text)
    except configparser.DuplicateOptionError as error:
        key = Key(error.section, _shown_name(error.option))
        raise ConfigError(f"{path}: line {error.lineno}: {key} is given a second time") from None
    except configparser.DuplicateSectionError as error:
        raise ConfigError(
            f"{path}: line {error.lineno}: [{_shown_name(error.section)}] is opened a second time"
        ) from None
    except configparser.MissingSectionHeaderError as error:
        raise ConfigError(f"{path}: line {error.lineno}: stands before the first [section]") from None
    except configparser.ParsingError as error:
        line, _ = error.errors[0]
        raise ConfigError(f"{path}: line {line}: expected [section], key : value or key = value") from None
    return parser


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {_reason(error)}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line}: is not UTF-8") from None


def _take_from_files(given: Source) -> Source:
    """Replace each `<secret>_file` by `<secret>` with the file's stripped content."""
    taken: Source = {}
    for key, value in given.items():
        if key in KINDS:
            taken[key] = value
            continue
        secret = Key(key.section, key.name.removesuffix(_FILE_SUFFIX))
        if secret in given:
            raise ConfigError(
                f"{given[secret].origin} and {value.origin} are both given; give only one of them"
            )
        taken[secret] = Given(Secret(_read_secret(value)), value.origin)
    return taken


def _read_secret(named: Given) -> str:
    path = Path(named.text.reveal())
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{named.origin}: {shown_path(path)} is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{named.origin}: {shown_path(path)} cannot be read: {_reason(error)}") from None
    if not text:
        raise ConfigError(f"{named.origin}: {shown_path(path)} is empty")
    if len(content) > _MAX_SECRET_BYTES:
        raise ConfigError(f"{named.origin}: {shown_path(path)} is larger than {_MAX_SECRET_BYTES} bytes")
    return text


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
