"""Reads JSON that the user has typed."""

from __future__ import annotations

import msgspec

from sharq_client.cli.exits import Exit, Failed


def value_of(text: str, name: str) -> msgspec.Raw:
    """Return a JSON text as it will be sent.

    Args:
        name: the option or argument that holds it, for the message.

    Raises:
        Failed: the text is not JSON.
    """
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        is_word = text.isprintable() and not set(text) & set("'\"{}[]")
        hint = f"; write a text as '\"{text}\"'" if is_word else ""
        raise Failed(f"{name}: expected JSON ({error}){hint}", Exit.USAGE) from None
    return msgspec.Raw(text.encode())
