"""The rule for ids stands in the server, in the fake of the client and in the import. All say the same."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from router.api.fields import IDENTIFIER_PATTERN, MAX_NAME, QUEUE_TYPE_PATTERN, are_identifiers
from sharq_client.migration.brokers.placement import job_id_of
from sharq_client.testing.wire import fields as fake
from sharq_core.scheduler.keys import shown_id, stored_id

TEXTS = st.text("a.:/~\n é", max_size=7) | st.text("ab/", min_size=98, max_size=102)


@given(TEXTS)
def test_server_fake_and_import_take_the_same_ids(text: str) -> None:
    is_id = len(text) <= MAX_NAME and re.match(IDENTIFIER_PATTERN, text) is not None
    assert is_id == are_identifiers([text]) == are_identifiers(["q", text, "j"])
    assert is_id == (re.match(fake.IDENTIFIER_PATTERN, text) is not None)
    assert job_id_of(text) == text if is_id else re.fullmatch("[0-9a-f]{64}", job_id_of(text))
    parts = text.split("/")
    assert is_id == (
        0 < len(text) <= 100
        and set(text) <= set("ab.:/")
        and all(part not in {"", ".", ".."} for part in parts)
    )


def test_server_and_fake_take_the_same_types() -> None:
    assert fake.QUEUE_TYPE_PATTERN == QUEUE_TYPE_PATTERN


@given(st.text("a:b/.", min_size=1, max_size=7))
def test_id_comes_out_of_the_store_as_it_went_in_and_without_a_colon_in_between(queue_id: str) -> None:
    stored = stored_id(queue_id)
    assert ":" not in stored
    assert (stored == queue_id) == (":" not in queue_id)
    assert shown_id(stored.encode()) == queue_id
