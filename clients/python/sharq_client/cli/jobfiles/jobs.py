"""Makes the job that a record describes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import msgspec

from sharq_client.cli.jobfiles.lines import BadLine, Record
from sharq_client.requests import EnqueueJob

FIELDS = frozenset(EnqueueJob.__struct_fields__)
"""The names of the fields of a job on the wire. A CSV column with another name goes into the payload."""

_ALTERNATIVES = {
    "interval": "rate",
    "rate": "interval",
    "delay": "at",
    "at": "delay",
    "expires": "expires_at",
    "expires_at": "expires",
}
"""Field → the other field that says the same. A job has one of the two at most."""

_ID_BYTES = 16
_LINE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


def job_of(record: Record, header: Sequence[str], defaults: Mapping[str, object], run: str) -> EnqueueJob:
    """Return the job of a record.

    A job without an id gets one that only depends on the record, the number of its line and `run`, so that the job is
    the same one when the file is sent again. Its `repeat` is set, so that this holds after its end, too.

    Args:
        header: the names of the columns of a CSV file; empty for JSON Lines.
        defaults: the values of fields that the record does not have, by their names.

    Raises:
        BadLine: the record is no job.
    """
    if record.problem:
        raise BadLine(record.problem)
    named = _of_cells(header, record.cells) if header else _of_json(record.text)
    fields = {**_without_alternatives(defaults, named), **named}
    for name in ("queue_type", "queue_id", "payload"):
        if name not in fields:
            raise BadLine(f"{name} is missing")
    if fields.get("job_id") is None:
        fields["job_id"], fields["repeat"] = _stable_id(record, run), True
    return EnqueueJob(**fields)  # type: ignore[arg-type] # the server checks the values


def _without_alternatives(
    defaults: Mapping[str, object], named: Mapping[str, object]
) -> Mapping[str, object]:
    """Return the defaults without those that a record says in another way, as a rate that it says as an interval."""
    said = {_ALTERNATIVES[name] for name in named.keys() & _ALTERNATIVES if named[name] is not None}
    return {name: value for name, value in defaults.items() if name not in said}


def _stable_id(record: Record, run: str) -> str:
    text = b"%b\0%d\0%b" % (run.encode(), record.line, record.text.strip())
    return hashlib.blake2b(text, digest_size=_ID_BYTES).hexdigest()


def _of_json(text: bytes) -> dict[str, object]:
    try:
        raws = _LINE.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.ValidationError:
        raise BadLine("expected a JSON object with the fields of a job") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadLine(f"is not JSON: {error}") from None
    unknown = [name for name in raws if name not in FIELDS]
    if unknown:
        raise BadLine(f"unknown field {unknown[0]!r}; the fields of a job are {', '.join(sorted(FIELDS))}")
    return {name: raw if name == "payload" else msgspec.json.decode(raw) for name, raw in raws.items()}


def _of_cells(header: Sequence[str], cells: Sequence[str]) -> dict[str, object]:
    fields: dict[str, object] = {}
    content: dict[str, str] = {}
    for name, cell in zip(header, cells, strict=True):
        if name not in FIELDS:
            content[name] = cell
        elif cell.strip():
            fields[name] = _value_of(name, cell.strip())
    if content:
        payload = fields.setdefault("payload", {})
        if not isinstance(payload, dict):
            raise BadLine("payload: expected a JSON object, because there are columns that go into it")
        fields["payload"] = {**payload, **content}
    return fields


def _value_of(name: str, cell: str) -> object:
    read, expected = _KINDS.get(name, (str, ""))
    try:
        return read(cell)
    except (ValueError, msgspec.DecodeError):
        raise BadLine(f"{name}: expected {expected}, got {cell[:40]!r}") from None


def _yes_or_no(cell: str) -> bool:
    if cell.lower() not in _TRUE | _FALSE:
        raise ValueError(cell)
    return cell.lower() in _TRUE


_WHOLE: tuple[Callable[[str], object], str] = (int, "a whole number")
_NUMBER: tuple[Callable[[str], object], str] = (float, "a number")
_JSON: tuple[Callable[[str], object], str] = (msgspec.json.decode, "JSON")

_KINDS: dict[str, tuple[Callable[[str], object], str]] = {
    **dict.fromkeys(
        ("requeue_limit", "max_queued_length", "cost", "max_leased", "at", "priority", "expires_at"), _WHOLE
    ),
    **dict.fromkeys(("interval", "burst", "delay", "expires"), _NUMBER),
    **dict.fromkeys(("repeat", "ignore_window"), (_yes_or_no, "true or false")),
    **dict.fromkeys(("payload", "retry", "caps"), _JSON),
}
"""The kinds of cells that are no text."""
