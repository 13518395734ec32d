"""Tests the target of each method and path."""

from __future__ import annotations

import pytest

from router.http.path_table import Paths
from sharq_core.errors import MethodNotAllowed, NotFound


@pytest.fixture
def paths() -> Paths[str]:
    paths: Paths[str] = Paths()
    for method, path, target in (
        ("GET", "/", "hello"),
        ("POST", "/enqueue/", "bulk"),
        ("POST", "/enqueue/{kind}/{id}/", "enqueue"),
        ("GET", "/queue/{kind}/{id}/", "queue"),
        ("POST", "/queue/{kind}/{id}/pause", "pause"),
        ("GET", "/dead/{kind}/", "dead"),
        ("DELETE", "/dead/{kind}/", "drop"),
    ):
        paths.add(method, path, target)
    return paths


@pytest.mark.parametrize(
    ("method", "path", "target", "values"),
    [
        ("GET", "/", "hello", {}),
        ("POST", "/enqueue/", "bulk", {}),
        ("POST", "/enqueue/sms/a/", "enqueue", {"kind": "sms", "id": "a"}),
        ("POST", "/enqueue/sms/a%2Fb%20c/", "enqueue", {"kind": "sms", "id": "a/b c"}),
        ("POST", "/enqueue/sms/tenant:42/", "enqueue", {"kind": "sms", "id": "tenant:42"}),
        ("POST", "/enqueue/sms/tenant%3A42/", "enqueue", {"kind": "sms", "id": "tenant:42"}),
        ("POST", "/enqueue/sms/a%2f%2e%2E%2Fb/", "enqueue", {"kind": "sms", "id": "a/../b"}),
        ("POST", "/enqueue/sms/a%252Fb/", "enqueue", {"kind": "sms", "id": "a%2Fb"}),
        ("GET", "/queue/sms/a/", "queue", {"kind": "sms", "id": "a"}),
        ("POST", "/queue/sms/a/pause", "pause", {"kind": "sms", "id": "a"}),
        ("DELETE", "/dead/sms/", "drop", {"kind": "sms"}),
    ],
)
def test_a_path_gives_its_target_and_values(
    paths: Paths[str], method: str, path: str, target: str, values: dict[str, str]
) -> None:
    assert paths.find(method, path) == (target, values)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "//",
        "/enqueue",
        "/enqueue/sms/",
        "/enqueue//a/",
        "/enqueue/a/b/c/",
        "/ENQUEUE/a/b/",
        "/dead/",
    ],
)
def test_what_stands_for_nothing_is_not_found(paths: Paths[str], path: str) -> None:
    with pytest.raises(NotFound):
        paths.find("POST", path)


def test_another_method_is_refused_with_those_there_are(paths: Paths[str]) -> None:
    with pytest.raises(
        MethodNotAllowed, match=r"^PUT is not allowed for this path, only DELETE or GET$"
    ) as refused:
        paths.find("PUT", "/dead/sms/")
    assert set(refused.value.allowed) == {"GET", "DELETE"}
