"""The list of windows while the store of some partitions is away."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from router.handlers.campaigns.windows import WINDOWS_AT_ONCE, WindowListing
from router.shards.walks.windows import list_windows
from sharq_core.campaigns.windows import StoredWindow, WindowPage
from sharq_core.errors import InvalidRequest, Unavailable
from sharq_core.link.campaigns.window_calls import GetWindows


class Partitions:
    """A router to partitions that all have the same windows, of which some are away."""

    partitions = 64

    def __init__(self, *away: int) -> None:
        self.away = set(away)
        self.asked: list[int] = []

    async def route(self, call: Any) -> Any:
        assert isinstance(call, GetWindows)
        self.asked.append(call.partition)
        if call.partition in self.away:
            raise Unavailable("its store is away")
        numbers = range(call.scan + 1, min(call.scan + call.limit, 250) + 1)
        return WindowPage([window(number) for number in numbers], 0 if numbers[-1] == 250 else numbers[-1])


def window(number: int) -> StoredWindow:
    return StoredWindow(f"w{number}", 1, 0, [], 0, b"{}", 0)


async def test_the_list_comes_from_a_partition_that_answers() -> None:
    router = Partitions(0, 16)
    windows, cursor = await list_windows(router, 150, None)
    assert [one.name for one in windows] == [f"w{number}" for number in range(1, 151)]
    assert router.asked == [0, 16, 32, 32]
    router.away = set()
    rest, end = await list_windows(router, 150, cursor)
    assert [one.name for one in windows + rest] == [f"w{number}" for number in range(1, 251)]
    assert end is None
    assert router.asked[4:] == [32], "numbers are those of the partition"


async def test_the_last_error_is_told_if_no_partition_answers() -> None:
    with pytest.raises(Unavailable):
        await list_windows(Partitions(0, 16, 32, 48), 150, None)


async def test_a_cursor_of_an_older_version_goes_on_in_the_first_partition() -> None:
    router = Partitions()
    windows, _ = await list_windows(router, 150, "100")
    assert (windows[0].name, router.asked) == ("w101", [0, 0])


@pytest.mark.parametrize("cursor", ["x", "-1", "64-1", "1-x", "0-99999999999", "1-2-3", "²-1"])
async def test_a_cursor_that_no_list_made_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await list_windows(Partitions(), 150, cursor)


class DefinedWindows(Partitions):
    """The same partitions, whose windows can be shown."""

    async def route(self, call: Any) -> Any:
        page = await super().route(call)
        shown = [replace(window, definition=b'{"tz":"UTC","open":[]}') for window in page.windows]
        return replace(page, windows=shown)


@pytest.mark.parametrize("limit", [1, WINDOWS_AT_ONCE, 150, 10_000])
async def test_a_long_list_is_read_a_few_windows_at_a_time(limit: int) -> None:
    """Windows with many dates take 0.1 ms each: all of a deployment at once would hold up other requests."""
    listing = WindowListing(DefinedWindows(), limit, None)
    pages = [page async for page in listing.pages()]
    assert max(map(len, pages)) <= WINDOWS_AT_ONCE
    assert [row.name for page in pages for row in page] == [f"w{at}" for at in range(1, min(limit, 250) + 1)]
    assert listing.cursor == (None if limit > 250 else f"0-{limit}")
