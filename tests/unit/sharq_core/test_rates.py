"""Rates as people write them become intervals, and come back as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.api.limits import read_rate
from sharq_core.errors import InvalidRequest
from sharq_core.models import MAX_INTERVAL_US
from sharq_core.rates import write_rate

UNITS_US = {"s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "day": 86_400 * 10**6}


@pytest.mark.parametrize(
    ("rate", "interval_us"),
    [
        ("40/s", 25_000),
        ("90/min", 666_667),
        ("2000/h", 1_800_000),
        ("10000/day", 8_640_000),
        ("0.5/s", 2_000_000),
        ("33.3333/min", 1_800_002),
        ("1000000/s", 1),
        ("1/day", 86_400_000_000),
        ("0.002739727/day", 31_535_988_804_724),
    ],
)
def test_an_interval_is_rounded_up_so_that_the_rate_is_not_passed(rate: str, interval_us: int) -> None:
    assert read_rate(rate, "rate") == interval_us


@pytest.mark.parametrize(
    "rate", ["40/s", "90/min", "7/s", "2000/h", "10000/day", "999/min", "1/day", "1000000/s"]
)
def test_a_whole_rate_comes_back_as_it_was_written(rate: str) -> None:
    assert write_rate(read_rate(rate, "rate")) == rate


@pytest.mark.parametrize(
    ("interval_us", "rate"),
    [
        (0, None),
        (33_333, "30.0003/s"),
        (100, "10000/s"),
        (31_500_000_000_000, "0.00274286/day"),
        (MAX_INTERVAL_US, "0.00273973/day"),
        (1_500_000, "40/min"),
        (2_000_000, "30/min"),
    ],
)
def test_the_unit_is_the_first_in_which_the_rate_is_whole_or_at_least_one(
    interval_us: int, rate: str | None
) -> None:
    assert write_rate(interval_us) == rate


@settings(deadline=None)
@given(st.integers(1, MAX_INTERVAL_US))
def test_a_written_rate_means_the_interval_to_six_digits(interval_us: int) -> None:
    rate = write_rate(interval_us)
    assert rate is not None
    number, _, unit = rate.partition("/")
    digits = number.replace(".", "").strip("0")
    assert len(digits) <= 6
    # A whole rate means its interval rounded up to a whole microsecond.
    assert float(number) == pytest.approx(UNITS_US[unit] / interval_us, rel=max(1e-5, 1 / interval_us))


@settings(deadline=None)
@given(st.integers(1, 999_999), st.sampled_from(sorted(UNITS_US)))
def test_no_rate_is_ever_passed(number: int, unit: str) -> None:
    interval_us = read_rate(f"{number}/{unit}", "rate")
    assert interval_us * number >= UNITS_US[unit]
    assert (interval_us - 1) * number < UNITS_US[unit]


@pytest.mark.parametrize(
    "rate", ["0/s", "0.0/day", "1000000.5/s", "0.0027/day", "1/week", "", "1", "/s", "1/s\n"]
)
def test_what_is_no_rate_is_refused_by_the_name_of_its_field(rate: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^jobs\[3\]\.rate: expected a rate over 0 as number/unit"):
        read_rate(rate, "jobs[3].rate")
