"""Decodes JSON bodies and query strings, explains in the API's terms what is wrong with them, and converts durations.

A message names the field and its allowed values: `jobs[3].interval: expected a number of ..., got a string`.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct
from multidict import MultiMapping

from router.api.fields import expected_text
from router.api.nesting_depth import MAX_DEPTH, is_nested_too_deep
from sharq_core.errors import InvalidRequest, TooLarge

FormT = TypeVar("FormT", bound=Struct)

SEARCHED_BYTES = 16_384
"""Bytes of all broken texts of one request that are searched for the field to name; this takes at most 5 ms."""

EXPLAINED_TEXTS = 100
"""Broken texts of one request that are examined closely; the messages about the others say less."""

_QUOTED = 300
"""Characters at either end of msgspec's message that are read: a name in it may be as long as the body."""

_NO_NAME = '""'
"""The name in messages of a field or parameter whose name is empty."""

_KNOWN_COMPLAINTS = 256
"""Translated messages of msgspec that are cached: a thousand bad jobs are mostly wrong in the same way."""

_decode_any = msgspec.json.Decoder().decode

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{},:]', re.DOTALL)
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_FOUND = re.compile(r", got `(\w+)`")
_INDEX = re.compile(r"\[(?:\d+|\.\.\.)\]")
_NAMED = re.compile(r"^Object (missing required|contains unknown) field `(.*)`$", re.DOTALL)
_OFFSET = re.compile(r"\(byte (\d+)\)$")
_LONE_SURROGATE = re.compile(rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])")
_TOO_MANY = re.compile(r"^Expected `array` of at most length (\d+)")
"""A message without a place. The lists of a form, such as `jobs`, differ in the length at which they are bounded."""

_TYPE_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a fraction",
    "bool": "a boolean",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


class Effort:
    """The remaining budget of one request for explaining broken texts."""

    __slots__ = ("left_bytes", "left_texts")

    def __init__(self) -> None:
        self.left_bytes = SEARCHED_BYTES
        self.left_texts = EXPLAINED_TEXTS

    def begin(self) -> bool:
        """Count one more text; return whether it may be examined closely."""
        self.left_texts -= 1
        return self.left_texts >= 0

    def take(self, wanted_bytes: int | None) -> int | None:
        """Take bytes to search from the budget and return their number.

        Args:
            wanted_bytes: None for all that remain.

        Returns:
            None if fewer than the wanted bytes remain.
        """
        if wanted_bytes is not None and wanted_bytes > self.left_bytes:
            return None
        taken_bytes = self.left_bytes if wanted_bytes is None else wanted_bytes
        self.left_bytes -= taken_bytes
        return taken_bytes


class Decoder(Generic[FormT]):
    """The decoder of one type of body or query.

    Args:
        form_type: the type to decode; its fields define the messages.
        decoder: decodes the bodies instead of one made for `form_type`; its fields have the same names.
    """

    def __init__(self, form_type: type[FormT], decoder: msgspec.json.Decoder[FormT] | None = None) -> None:
        self._form_type = form_type
        self._decoder = decoder or msgspec.json.Decoder(form_type)
        self._read_complaint = lru_cache(_KNOWN_COMPLAINTS)(self._translate)

    # The following are read when a message or a query first needs them: most programs end before they need any.

    @cached_property
    def _hints(self) -> dict[str, Any]:
        """Return name of the field in JSON → its type."""
        hints = get_type_hints(self._form_type, include_extras=True)
        return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(self._form_type)}

    @cached_property
    def _expected(self) -> dict[str, str]:
        """Return name of the field, `field.part` or `list[].part` → the text that says what is expected there."""
        named = dict(self._hints)
        for name, hint in self._hints.items():
            named |= {f"{name}.{part}": part_hint for part, part_hint in _parts(hint).items()}
            named |= {f"{name}[].{part}": part_hint for part, part_hint in _parts(_item(hint)).items()}
        return {name: expected_text(hint) or "another value" for name, hint in named.items()}

    @cached_property
    def _items(self) -> dict[str, str]:
        """Return name of a field that is a list → the text that says what is expected of each item, if there is one."""
        items = {name: _item(hint) for name, hint in self._hints.items() if _is_list(hint)}
        texts = {
            name: "a JSON object" if _parts(item) else expected_text(item) for name, item in items.items()
        }
        return {name: text for name, text in texts.items() if text is not None}

    @cached_property
    def _lists(self) -> dict[str, int | None]:
        """Return name of a field that is a list → the most items that it holds."""
        return {name: _bound(hint) for name, hint in self._hints.items() if _is_list(hint)}

    def from_json(self, text: bytes | msgspec.Raw, within: str = "", effort: Effort | None = None) -> FormT:
        """Return the value of a JSON text.

        Args:
            within: the path of this text in the whole body, as `jobs[3]`; empty for a whole body.
            effort: the budget of this request for messages; None if there is only this text.

        Raises:
            InvalidRequest: the text is not JSON or does not fit the type. Nothing was done.
        """
        try:
            return self._decoder.decode(text)
        except msgspec.ValidationError as error:
            raise InvalidRequest(self._complaint(str(error), within, "a JSON object")) from None
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(explain_broken_json(bytes(text), error, within, effort)) from None

    def from_query(self, query: MultiMapping[str]) -> FormT:
        """Return the value of a query string.

        Raises:
            InvalidRequest: a parameter is unknown, does not fit, or is given twice and no list. Nothing was done.
        """
        parameters: dict[str, str | list[str]] = dict(query)
        for name in self._lists:
            if name in parameters:
                parameters[name] = query.getall(name)
        if len(parameters) < len(query):
            times = {name: len(query.getall(name)) for name in parameters if name not in self._lists}
            twice = next((name for name, number in times.items() if number > 1), None)
            if twice is not None:
                raise InvalidRequest(
                    f"{twice[:100] or _NO_NAME}: expected once in the query, got {times[twice]} times"
                )
        try:
            return msgspec.convert(parameters, self._form_type, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidRequest(self._complaint(str(error), "", "a query")) from None

    def _complaint(self, message: str, within: str, whole: str) -> str:
        if len(message) > 2 * _QUOTED:
            message = f"{message[:_QUOTED]}{message[-_QUOTED:]}"
        field, problem = self._read_complaint(message, whole)
        return f"{_join(within, field) or 'body'}: {problem}"

    def _translate(self, message: str, whole: str) -> tuple[str, str]:
        """Return the field that msgspec's message is about, and the problem in the API's terms."""
        too_many = _TOO_MANY.match(message)
        if too_many:
            name = next(name for name, bound in self._lists.items() if bound in (None, int(too_many[1])))
            return name, f"expected {self._expected[name]}, got more"
        # msgspec puts the place of the problem at the end of its message.
        place = _PLACE.search(message)
        field = place[1] if place else ""
        if place:
            message = message[: place.start()]
        # A missing or unknown field is named in the message itself, and not in its place.
        named = _NAMED.match(message)
        if named:
            problem = "required" if named[1].startswith("missing") else f"unknown; {self._known(field)}"
            return _join(field, named[2][:100] or _NO_NAME), problem
        match = _FOUND.search(message)
        got = f", got {_TYPE_NAMES.get(match[1], match[1])}" if match else ""
        name, _, place_in_list = field.partition("[")
        of_item = self._items.get(name) if place_in_list.endswith("]") else None
        expected = self._expected.get(_INDEX.sub("[]", field)) or of_item or self._expected.get(name, whole)
        return field, f"expected {expected}{got}"

    def _known(self, place: str) -> str:
        """Return which fields the body, or the object at a place in it, may have."""
        start = f"{_INDEX.sub('[]', place)}." if place else ""
        names = [name.removeprefix(start) for name in self._expected if name.startswith(start)]
        known = ", ".join(name for name in names if "." not in name)
        return f"the known fields are: {known}" if known else "no field is expected here"


def _is_list(hint: object) -> bool:
    """Return True if a field's type is a list, or has one among its alternatives."""
    return get_origin(hint) is list or any(map(_is_list, get_args(hint)))


def _item(hint: object) -> object:
    """Return the type of the items of a list; None if the type has no list among its alternatives."""
    if get_origin(hint) is list:
        return get_args(hint)[0]
    return next((item for part in get_args(hint) if (item := _item(part)) is not None), None)


def _bound(hint: object) -> int | None:
    """Return the most items of a list that a field holds; None if its type does not say it."""
    for item in getattr(hint, "__metadata__", ()):
        if isinstance(item, Meta) and item.max_length is not None:
            return item.max_length
    return next((bound for part in get_args(hint) if (bound := _bound(part)) is not None), None)


def _parts(hint: object) -> dict[str, object]:
    """Return the fields of the object that a field holds; none if it is no object."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return get_type_hints(hint, include_extras=True)
    if get_origin(hint) is list:
        return {}
    return {name: part for choice in get_args(hint) for name, part in _parts(choice).items()}


def explain_broken_json(text: bytes, error: Exception, within: str = "", effort: Effort | None = None) -> str:
    """Return a message that says where a text stops being JSON: the byte, and the field if the budget allows."""
    if not text.strip():
        return f"{within or 'body'}: expected a JSON object, got nothing"
    effort = effort or Effort()
    if not effort.begin():
        return f"{within or 'body'}: not valid JSON in UTF-8, or a number in it is out of range"
    if isinstance(error, RecursionError):
        path = _join(within, _path_at(text, None, effort))
        return f"{path or 'body'}: nested deeper than {MAX_DEPTH} levels"
    offset = _offset_of(text, error)
    path = _join(within, _path_at(text, offset, effort)) or "body"
    if isinstance(error, msgspec.ValidationError):
        return f"{path}: holds a number that is out of range"
    return f"{path}: not valid JSON in UTF-8 at byte {offset} of {within or 'the body'}"


def _offset_of(text: bytes, error: Exception) -> int:
    if isinstance(error, UnicodeDecodeError):
        return _first_byte_not_utf8(text)
    offset = _OFFSET.search(str(error))
    if offset:
        return int(offset[1])
    surrogate = _LONE_SURROGATE.search(text)
    return surrogate.start() if surrogate else len(text)


def _first_byte_not_utf8(text: bytes) -> int:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(text)


def _path_at(text: bytes, offset: int | None, effort: Effort) -> str:
    """Return the path of the field that a byte is in, no deeper than `payload`; empty if it is not found.

    Args:
        offset: the byte; None for the first place that is nested too deep.
    """
    end = effort.take(offset)
    if end is None:
        return ""
    # The stack has a step for each open object (the name of the current field) and list (the index of the current
    # item). The text is broken, so a tokenizer that ignores values is all that can be relied on.
    stack: list[bytes | int] = []
    name = b""
    for match in _TOKEN.finditer(text, 0, end):
        token = match[0]
        if token in b"{[":
            stack.append(b"" if token == b"{" else 0)
        elif token in b"]}":
            del stack[-1:]
        elif token[:1] == b'"':
            name = token.strip(b'"')
        elif stack:
            last = stack[-1]
            stack[-1] = name if token == b":" else last + 1 if isinstance(last, int) else b""
        if len(stack) > MAX_DEPTH:
            return _spell(stack)
    return "" if offset is None else _spell(stack)


def _spell(stack: list[bytes | int]) -> str:
    if b"payload" in stack:
        stack = stack[: stack.index(b"payload") + 1]
    path = ""
    for step in stack[:4]:
        path = (
            f"{path}[{step}]" if isinstance(step, int) else _join(path, step.decode(errors="replace")[:100])
        )
    return path


def _join(within: str, field: str) -> str:
    return f"{within}.{field}" if within and field and field[0] != "[" else within + field


def read_json(raw: Raw, max_bytes: int, place: str, effort: Effort | None = None) -> tuple[bytes, object]:
    """Return the text of any JSON value, and the value.

    The text is decoded to check it: a Raw may still hold 1e400 or broken UTF-8.

    Args:
        place: the path of the value in the body, as `jobs[3].payload`.

    Raises:
        InvalidRequest, TooLarge: nothing was done.
    """
    text = bytes(raw)
    if len(text) > max_bytes:
        raise TooLarge(f"{place}: {len(text)} bytes, the limit is {max_bytes}")
    try:
        value: object = _decode_any(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(explain_broken_json(text, error, place, effort)) from None
    # A text of MAX_DEPTH bytes cannot have more levels than that.
    if len(text) > MAX_DEPTH and is_nested_too_deep(text):
        raise InvalidRequest(f"{place}: nested deeper than {MAX_DEPTH} levels")
    return text, value


def to_us(duration_ms: float) -> int:
    """Return a duration in whole microseconds, rounded up, so that no rate is exceeded.

    Only the first 15 digits of a fraction count: a double holds any 15 digits exactly, and the rest is noise
    (33.333 becomes 33333; 3.3000000000000003 becomes 3300; 1e-9 becomes 1).

    Args:
        duration_ms: in milliseconds.
    """
    if isinstance(duration_ms, int):
        return duration_ms * 1000
    return math.ceil(Decimal(f"{duration_ms:.15g}") * 1000)


def to_ms(duration_us: int) -> int | float:
    """Return a duration in milliseconds, an int if it is whole."""
    whole_ms, remaining_us = divmod(duration_us, 1000)
    return duration_us / 1000 if remaining_us else whole_ms
