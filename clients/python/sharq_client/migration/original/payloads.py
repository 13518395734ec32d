"""Turns payloads of the original, which are msgpack, into JSON."""

from __future__ import annotations

import json

import msgspec

QUOTE = b'"'


class UnreadablePayload(ValueError):
    """A payload is not msgpack, or has no equal in JSON. The message says why."""


def json_of(stored: bytes) -> msgspec.Raw:
    """Return the JSON text of a payload as the original stored it.

    The versions for Python 2 put quotes around the msgpack. Msgpack that begins with the byte of a quote is the number
    34 and nothing else, so that the two forms cannot be confused.

    Raises:
        UnreadablePayload: it is not msgpack, or holds bytes, times, extension types, NaN or infinities.
    """
    is_quoted = len(stored) > 2 and stored.startswith(QUOTE) and stored.endswith(QUOTE)
    try:
        value = msgspec.msgpack.decode(stored[1:-1] if is_quoted else stored)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadablePayload(f"payload: not msgpack of the original: {error}") from error
    try:
        # The encoder of msgspec would write bytes as base64 and NaN as null, which a worker would not expect.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise UnreadablePayload(f"payload: has no equal in JSON: {error}") from error
    return msgspec.Raw(text.encode())
