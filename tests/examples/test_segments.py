"""The number of segments of a message, and how far arrivals are ahead of a rate."""

from __future__ import annotations

import pytest

from examples.pace import most_ahead_s
from examples.sms.segments import GSM7, GSM7_EXTENSION, count_segments


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 80 + "a", 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # no character is cut in two, so the first segment has 152
        ("a" * 151 + "€" + "a" * 153, 2),
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("a" * 69 + "ç", 1),  # a small ç is not in the alphabet, although a large one is
        ("a" * 70 + "ç", 2),
        ("a" * 70 + "Ç", 1),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),
        ("😀" * 67, 3),  # 33 in a segment: the 67th place stays empty
    ],
)
def test_a_text_has_as_many_segments(text: str, segments: int) -> None:
    assert count_segments(text) == segments


def test_the_alphabet_has_its_127_characters_and_the_extension_its_10() -> None:
    assert len(GSM7) == 127  # 128 codes, one of which is the escape to the extension
    assert len(GSM7_EXTENSION) == 10
    assert not GSM7 & GSM7_EXTENSION


@pytest.mark.parametrize(
    ("arrivals", "burst", "ahead_s"),
    [
        ([(0, 1), (0.1, 1), (0.2, 1)], 1, 0),
        ([(0, 1), (0.05, 1)], 1, 0.05),
        ([(0, 1), (0, 1), (0.1, 1)], 2, 0),
        ([(0, 1), (0, 1), (0, 1)], 2, 0.1),
        ([(0, 3), (0.3, 1)], 1, 0),
        ([(0, 3), (0.1, 1)], 1, 0.2),
        ([(0, 1), (9, 1), (9, 1)], 1, 0.1),
    ],
)
def test_how_far_arrivals_are_ahead(
    arrivals: list[tuple[float, float]], burst: float, ahead_s: float
) -> None:
    assert most_ahead_s(arrivals, 10, burst) == pytest.approx(ahead_s)
