"""Measures how deep a JSON text is nested, in time linear in its length."""

from __future__ import annotations

from itertools import accumulate
from operator import add

MAX_DEPTH = 500
"""Maximum levels of nesting in a payload. A client with a stack of 1,000 frames can read such a payload back."""

_ONLY_MARKS = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_ONLY_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_AS_BITS = bytes.maketrans(b"[{]}", b"1100")
_WORD = 8


def _net(bits: int) -> int:
    """Return the number of levels that eight brackets open, minus those that they close."""
    return 2 * bits.bit_count() - _WORD


def _peak(bits: int) -> int:
    """Return the deepest level inside eight brackets, relative to the level before them."""
    return max(accumulate((1 if bits >> shift & 1 else -1) for shift in reversed(range(_WORD))))


_NETS = [_net(bits) for bits in range(1 << _WORD)]
_PEAKS = [_peak(bits) for bits in range(1 << _WORD)]


def is_nested_too_deep(text: bytes) -> bool:
    """Return whether a valid JSON text has more than MAX_DEPTH levels.

    Cost: linear in the length of the text, and one count for a text with few brackets. A table lookup handles eight
    brackets at a time; removing one level after the other would take 500 passes over the text.
    """
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    bits = _brackets(text).translate(_AS_BITS)
    if bits.count(b"1") <= MAX_DEPTH:
        return False
    bits += b"0" * (-len(bits) % _WORD)  # closing brackets at the end add no depth
    octets = int(bits, 2).to_bytes(len(bits) // _WORD, "big")
    levels = accumulate(map(_NETS.__getitem__, octets), initial=0)
    deepest: int = max(map(add, levels, map(_PEAKS.__getitem__, octets)))
    return deepest > MAX_DEPTH


def _brackets(text: bytes) -> bytes:
    """Return the brackets of a text that are not inside a string."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Without the characters between the marks, a string without brackets is a pair of quotes. Removing such pairs does
    # not affect the other strings, and leaves few pieces for split() below.
    marks = text.translate(None, _ONLY_MARKS).replace(b'""', b"")
    return b"".join(marks.split(b'"')[::2]).translate(None, _ONLY_BRACKETS)
