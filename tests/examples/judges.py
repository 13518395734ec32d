"""Judges the runs of examples by what arrived at their other side, apart from their own verdicts.

A judge raises AssertionError. Times are those of the arrivals: a request may take SLACK_S from the server to there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from tests.examples.runs import Run
from tests.support.load.promise import Rate, Taken, too_early

SLACK_S = 0.5


def assert_paced(arrivals: Iterable[dict[str, Any]], per_s: float, burst: float, unit: str = "") -> None:
    """Fail if more arrived in any time than a rate and its burst let pass in that time and SLACK_S."""
    taken = [Taken(round(each["at"] * 1000), each[unit] if unit else 1) for each in arrivals]
    assert taken
    assert too_early(taken, Rate(1000 / per_s, burst + SLACK_S * per_s)) == []


def assert_rate(
    arrivals: list[dict[str, Any]], least_per_s: float, most_per_s: float, unit: str = ""
) -> None:
    """Fail unless the rate over the whole run is in the range."""
    units = sum(each[unit] if unit else 1 for each in arrivals[:-1])
    assert least_per_s <= units / (arrivals[-1]["at"] - arrivals[0]["at"]) <= most_per_s


def judge_sms(run: Run) -> None:
    """Limits of carriers and customers, no code after its time, logins first, nobody at night."""
    assert {each["status"] for each in run.arrivals} == {202}
    skytel = [each for each in run.arrivals if each["carrier"] == "skytel"]
    telco = [each for each in run.arrivals if each["carrier"] == "telco"]
    acme = [each for each in skytel if each["customer"] == "acme"]
    bank = [each for each in telco if each["customer"] == "bank"]
    assert_paced(skytel, 40, 1.8, "units")
    assert_rate(skytel, 24, 42, "units")
    assert_paced(telco, 10, 1.2)
    assert_rate(telco, 6, 10.5)
    assert_paced(acme, 10, 2)
    assert_paced(bank, 2, 1.1)
    assert len(bank) < 15 and max(each["at"] - each["expires_at"] for each in bank) < 0.5
    names = [each["name"] for each in acme]
    assert len(names) - max(names.index(f"login-{n}") for n in range(3)) > 10
    days = Counter(each["name"].partition("-")[0] for each in run.arrivals)
    assert (days["day"], days["night"]) == (5, 0)
    assert Counter(each["name"] for each in run.arrivals).most_common(1)[0][1] == 1


def judge_voice(run: Run) -> None:
    """Calls a second, channels, and that each number is called until it has answered, and then no more."""
    assert_paced(run.arrivals, 10, 2)
    assert {each["outcome"] for each in run.arrivals} == {"answered", "busy", "broken"}
    edges = sorted(
        (at, step) for each in run.arrivals for at, step in ((each["at"], 1), (ended_at(each), -1))
    )
    busy = most = 0
    for _, step in edges:
        busy += step
        most = max(most, busy)
    assert most == 5
    answers: dict[str, list[int]] = {}
    for each in run.arrivals:
        if each["outcome"] == "answered":
            answers.setdefault(each["name"], []).append(each["dialer"])
    assert answers.keys() == {each["name"] for each in run.arrivals}
    # Only a call that the dead dialer had not reported yet may be answered again, to the other one.
    (dead,) = {each["dialer"] for each in run.arrivals if each["outcome"] == "broken"}
    assert all(
        len(dialers) == 1 or (len(dialers) == 2 and dialers[0] == dead) for dialers in answers.values()
    )
    assert len({each["dialer"] for each in run.arrivals}) == 2
    # The surveys are longer than a lease, and none is made again while it lasts.
    assert sum(each["lasted"] > 2.5 for each in run.arrivals) == 6


def ended_at(call: dict[str, Any]) -> float:
    """Return the end of a call; the trunk frees a channel a moment before it notes the end."""
    return float(call["at"] + max(call["lasted"] - 0.01, 0))


def judge_webhooks(run: Run) -> None:
    """Each customer in its own way, each event once, and the waits between attempts."""
    assert Counter(each["event"] for each in run.arrivals if each["status"] == 200) == Counter(
        {each["event"] for each in run.arrivals}
    )
    of = {
        name: [each for each in run.arrivals if each["customer"] == name]
        for name in ("fine", "slow", "down", "limited")
    }
    for arrivals in of.values():
        assert_paced(arrivals, 10, 1.1)
    assert_rate(of["fine"], 6, 10.5)
    assert {each["status"] for each in of["fine"]} == {200}
    assert max(each["at_once"] for each in of["slow"]) == 2
    (refused,) = [n for n, each in enumerate(of["limited"]) if each["status"] == 429]
    before, after = of["limited"][refused : refused + 2]
    assert after["at"] - before["at"] >= 1.95
    assert {each["attempt"] for each in of["limited"]} == {1}
    for event in {each["event"] for each in of["down"]}:
        own = [each for each in of["down"] if each["event"] == event]
        assert [each["status"] for each in own] == [503] * 4 + [200]
        assert [each["attempt"] for each in own] == [1, 2, 3, 4, 1]
        waits_s = [later["at"] - earlier["at"] for earlier, later in pairwise(own[:4])]
        assert all(wait_s >= least_s for wait_s, least_s in zip(waits_s, (0.15, 0.35, 0.75), strict=True))


def judge_crawler(run: Run) -> None:
    """Politeness to each host, each page once, nothing that is forbidden."""
    pages = Counter((each["host"], each["path"]) for each in run.arrivals if each["path"] != "/robots.txt")
    assert pages.total() == len(pages) == 65
    assert not [path for _, path in pages if path.startswith("/private/")]
    assert max(each["at_once"] for each in run.arrivals) == 1
    for host in ("news.example", "docs.example", "shop.example"):
        own = [each for each in run.arrivals if each["host"] == host]
        assert own[0]["path"] == "/robots.txt"
        for delay_s in {each["delay"] for each in own}:
            assert_paced([each for each in own if each["delay"] == delay_s], 1 / delay_s, 1)
    shop = [each for each in run.arrivals if each["host"] == "shop.example"]
    assert {each["delay"] for each in shop} == {0.5, 0.1}


def judge_llm(run: Run) -> None:
    """Both meters, the turns of the tenants, and each prompt once."""
    assert {each["status"] for each in run.arrivals} == {200}
    assert_paced(run.arrivals, 10, 2)
    assert_paced(run.arrivals, 1_000, 2_000, "tokens")
    assert sum(each["tokens"] for each in run.arrivals) < 0.4 * 412 * len(
        run.arrivals
    )  # far less than reserved
    assert_rate(run.arrivals, 600, 1_300, "tokens")
    assert len({each["name"] for each in run.arrivals}) == len(run.arrivals)
    shares = Counter(each["tenant"] for each in run.arrivals[:30])  # all tenants have work until then
    assert abs(shares["ada"] - shares["bob"]) <= 2
    assert abs(shares["gold"] - 2 * shares["ada"]) <= 4


JUDGES: dict[str, Callable[[Run], None]] = {
    "crawler": judge_crawler,
    "llm": judge_llm,
    "sms": judge_sms,
    "voice": judge_voice,
    "webhooks": judge_webhooks,
}
