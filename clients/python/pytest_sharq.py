"""The pytest plugin of sharq-client: the fixture `sharq`. It imports the fake only when a test asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sharq_client.testing import FakeSharq


@pytest.fixture
def sharq() -> FakeSharq:
    """Return a SHARQ in memory, with the real rules and a clock that the test moves, a new one for each test."""
    from sharq_client.testing import FakeSharq  # noqa: PLC0415 - pytest loads this module in every project

    return FakeSharq()
