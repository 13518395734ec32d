"""Counts the segments of a text message, which is what a carrier counts and bills.

A message whose characters are all in the GSM 7-bit alphabet has 160 of them in one segment, or 153 in each of several;
those of the extension table count twice. Any other message is sent as UCS-2: 70 in one segment, or 67 in each of
several; characters outside of the Basic Multilingual Plane, such as most emoji, count twice.

Source: 3GPP TS 23.038, 6.2.1 (alphabets), and TS 23.040, 9.2.3.24.1 (the header that takes 7 septets or 3 characters of
each segment of several).
"""

from __future__ import annotations

GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = frozenset("\f^{}\\[~]|€")


def count_segments(text: str) -> int:
    """Return the number of segments of a text, 1 or more."""
    if GSM7.issuperset(set(text) - GSM7_EXTENSION):
        widths = [2 if character in GSM7_EXTENSION else 1 for character in text]
        return _count(widths, alone=160, each=153)
    widths = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return _count(widths, alone=70, each=67)


def _count(widths: list[int], alone: int, each: int) -> int:
    """Return the number of segments; a character that takes two places is never cut in two."""
    if sum(widths) <= alone:
        return 1
    segments, room = 1, each
    for width in widths:
        if width > room:
            segments, room = segments + 1, each
        room -= width
    return segments
