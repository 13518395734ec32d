"""The console's files: who may read them, the headers that keep other pages out, and that they need no other host."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

import pytest

from router.console.assets import MEDIA_TYPES
from tests.console.site import Site
from tests.support.processes.servers import running_server

STATIC = Path(__file__).parents[2] / "router" / "console" / "static"
FILES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}
KEPT_OUT = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
OTHER_HOST = re.compile(r"(?:https?:)?//(?!www\.w3\.org/)[a-z0-9-]+\.[a-z]{2,}", re.I)


class Answer:
    """An answer, read to its end."""

    def __init__(self, url: str, method: str, path: str, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()
        connection.close()


def ask(site: Site, path: str, method: str = "GET", **headers: str) -> Answer:
    return Answer(site.url, method, path, {name.replace("_", "-"): value for name, value in headers.items()})


def assert_kept_out(answer: Answer) -> None:
    parts = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
    assert {name: value for name, _, value in parts} == POLICY
    assert {name: answer.headers[name] for name in KEPT_OUT} == KEPT_OUT


def test_every_file_is_served_without_a_token_and_keeps_other_pages_out(site: Site) -> None:
    assert "index.html" in FILES
    for path in FILES:
        answer = ask(site, f"/console/{path}")
        assert answer.status == 200, path
        assert answer.body == (STATIC / path).read_bytes()
        assert answer.headers["Content-Type"] == MEDIA_TYPES[Path(path).suffix]
        assert_kept_out(answer)


def test_the_page_is_at_the_folder_and_its_bare_name_leads_there(site: Site) -> None:
    page = ask(site, "/console/")
    assert page.body == (STATIC / "index.html").read_bytes()
    bare = ask(site, "/console")
    assert (bare.status, bare.headers["Location"]) == (302, "console/")
    assert_kept_out(bare)


def test_a_file_that_has_not_changed_is_not_sent_again(site: Site) -> None:
    first = ask(site, "/console/main.js")
    assert first.headers["Cache-Control"] == "no-cache"
    for known in (first.headers["ETag"], f'"x", W/{first.headers["ETag"]}'):
        again = ask(site, "/console/main.js", If_None_Match=known)
        assert (again.status, again.body) == (304, b"")
        assert_kept_out(again)
    assert ask(site, "/console/main.js", If_None_Match='"x"').status == 200


def test_a_head_request_tells_the_length(site: Site) -> None:
    answer = ask(site, "/console/main.js", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) == (STATIC / "main.js").stat().st_size


@pytest.mark.parametrize(
    "path",
    ["nothing.js", "views", "..%2f__init__.py", "../assets.py", "views/..%2f..%2fassets.py", "views/x/y.js"],
)
def test_nothing_but_the_files_is_served(site: Site, path: str) -> None:
    assert ask(site, f"/console/{path}").status == 404
    assert ask(site, "/console/main.js", "POST").status == 405


def test_a_link_from_another_site_opens_the_page_and_cannot_read_the_stream(site: Site) -> None:
    foreign = {"Sec_Fetch_Site": "cross-site", "Referer": "https://grafana.example/d/1"}
    assert ask(site, "/console/", **foreign).status == 200
    token = f"Bearer {site.tokens['admin']}"
    assert ask(site, "/console/stream", **foreign, Authorization=token).status == 403


def test_no_file_names_another_host_or_holds_inline_code() -> None:
    for path in FILES:
        if Path(path).suffix in {".png", ".svg"}:
            continue
        text = (STATIC / path).read_text()
        assert OTHER_HOST.findall(text) == [], path
        if path.endswith(".html"):
            assert (
                re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=|javascript:", text, re.I)
                == []
            )


def test_a_server_without_console_serves_none_of_it() -> None:
    with running_server(environ={"SHARQ_SHARQ_SERVER_CONSOLE": "false"}) as server:
        for path in ("/console", "/console/", "/console/main.js", "/console/stream"):
            assert server.status(path) == 404
