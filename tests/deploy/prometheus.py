"""Questions to a running Prometheus."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping

import msgspec


class Series(msgspec.Struct, frozen=True):
    """One series of an instant query's answer."""

    labels: Mapping[str, str]
    value: float


def query(prometheus: str, promql: str) -> list[Series]:
    """The answer now.

    Raises:
        AssertionError: the query is wrong.
    """
    path = "/api/v1/query?" + urllib.parse.urlencode({"query": promql})
    try:
        with urllib.request.urlopen(prometheus + path, timeout=30) as answer:
            rows = json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{promql}: {error.read().decode()}") from error
    return [Series(row["metric"], float(row["value"][1])) for row in rows]


def value_of(prometheus: str, promql: str) -> float | None:
    """The one value of a query; None when there is none, or not one."""
    rows = query(prometheus, promql)
    return rows[0].value if len(rows) == 1 else None


def has_data(prometheus: str, promql: str) -> bool:
    """At least one series has a number."""
    return any(not math.isnan(row.value) for row in query(prometheus, promql))
