"""Tests the detection of requests from web pages of other sites, and of host names that are not the server's."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from sharq_core.web_pages import Hosts, foreign_page, is_from_browser, is_origin

HERE = "127.0.0.1:8080"


def headers(**values: str) -> CIMultiDict[str]:
    return CIMultiDict({"Host": HERE, **{name.replace("_", "-"): text for name, text in values.items()}})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"Origin": "https://evil.example"}, "Origin"),
        ({"Origin": "null"}, "Origin"),
        ({"Origin": ""}, "Origin"),
        ({"Origin": "http://127.0.0.1"}, "Origin"),
        ({"Origin": "http://127.0.0.1:8081"}, "Origin"),
        ({"Origin": "http://127.0.0.1:8080.evil.example"}, "Origin"),
        ({"Origin": "http://127.0.0.1:8080@evil.example"}, "Origin"),
        ({"Origin": "chrome-extension://127.0.0.1:8080"}, "Origin"),
        ({"Origin": f"http://{HERE}", "Sec_Fetch_Site": "cross-site"}, "Origin"),
        ({"Origin": "http://sub.console.example"}, "Origin"),
        ({"Sec_Fetch_Site": "cross-site"}, "Sec-Fetch-Site"),
        ({"Sec_Fetch_Site": "same-site"}, "Sec-Fetch-Site"),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, "Sec-Fetch-Site"),
        ({"Sec_Fetch_Site": "of-the-future"}, "Sec-Fetch-Site"),
        ({"Referer": "https://evil.example/page"}, "Referer"),
        ({"Referer": "https://console.example.evil.example/"}, "Referer"),
    ],
)
def test_pages_of_other_sites_are_known(given: dict[str, str], named: str) -> None:
    assert foreign_page(headers(**given), frozenset({"https://console.example"})) == named


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"Origin": f"http://{HERE}"},
        {"Origin": f"http://{HERE}", "Sec_Fetch_Site": "same-origin"},
        {"Origin": "https://q.example", "Host": "q.example"},
        {"Origin": "https://q.example", "Host": "Q.example:443"},
        {"Origin": "http://[::1]:8080", "Host": "[::1]:8080"},
        {"Origin": "https://console.example", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "HTTPS://CONSOLE.example"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Mode": "cors"},
        {"Referer": f"http://{HERE}/"},
        {"Referer": "https://console.example/queues?x=1"},
        {"Referer": "a note that a script left"},
        {"User_Agent": "python-requests/2.32"},
    ],
)
def test_other_clients_are_let_in(given: dict[str, str]) -> None:
    assert foreign_page(headers(**given), frozenset({"https://console.example"})) is None


def test_every_page_counts_as_one_for_a_link() -> None:
    assert is_from_browser(headers(Origin=f"http://{HERE}"))
    assert not is_from_browser(headers(User_Agent="aiohttp"))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "127.8.9.1:1", "localhost", "LOCALHOST:8080", "localhost.", "a.localhost",
     "[::1]:8080",
     "[0:0:0:0:0:0:0:1]", "queue.internal:8080", "10.0.0.5", ""],
)  # fmt: skip
def test_names_of_the_loopback_and_allowed_ones_are_taken(host: str) -> None:
    hosts = Hosts(["queue.internal", "10.0.0.5"], is_bound=True)
    assert [hosts.refused({"Host": host}) for _ in range(2)] == [None, None]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost", "0.0.0.0",
     "10.0.0.6", "[::1", "::1", "localhost:8080:1", "localhost/evil", "evil@localhost", "localhost evil",
     "[2001:db8::1]:80"],
)  # fmt: skip
def test_other_names_are_refused(host: str) -> None:
    assert Hosts(["queue.internal", "10.0.0.5"], is_bound=True).refused({"Host": host}) == host


def test_an_absolute_target_counts_beside_the_header() -> None:
    hosts = Hosts(is_bound=True)
    assert hosts.refused({"Host": HERE}, "evil.example") == "evil.example"
    assert hosts.refused({"Host": HERE}, "::1") is None
    assert hosts.refused({}) is None


def test_any_name_is_taken_where_none_is_bound_or_all_are_allowed() -> None:
    assert Hosts().refused({"Host": "evil.example"}) is None
    assert Hosts(["*"], is_bound=True).refused({"Host": "evil.example"}) is None


@pytest.mark.parametrize("text", ["https://a.example", "http://[::1]:1", "http://localhost:8080"])
def test_origins_are_scheme_host_and_port(text: str) -> None:
    assert is_origin(text)


@pytest.mark.parametrize("text", ["a.example", "https://a.example/", "https://", "*", "null", "https://a b"])
def test_what_is_no_origin_is_none(text: str) -> None:
    assert not is_origin(text)
