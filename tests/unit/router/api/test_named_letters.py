"""Bodies with lists of objects: what is wrong in one of them is said of its own field."""

from __future__ import annotations

import pytest

from router.api.life.dead_letters import dropped_letters
from router.api.parsing import queue_type_of
from sharq_core.errors import InvalidRequest

QUEUE_ID = "expected a string: 1 to 100 characters of"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"jobs": [{"queue_id": true, "job_id": "a"}]}', f"jobs[0].queue_id: {QUEUE_ID}"),
        (b'{"jobs": [{"queue_id": "a", "job_id": ""}]}', f"jobs[0].job_id: {QUEUE_ID}"),
        (
            b'{"jobs": [{"queue_id": "a", "job_id": "a"}, {"queue_id": "a", "job_id": "a", "x": 1}]}',
            "jobs[1].x: unknown; the known fields are: queue_id, job_id",
        ),
        (b'{"jobs": [{"queue_id": "a"}]}', "jobs[0].job_id: required"),
        (b'{"jobs": [3]}', "jobs[0]: expected a JSON object, got an integer"),
        (b'{"jobs": []}', "jobs: expected a list of 1 to 1000 dead letters"),
        (b'{"jobs": 3}', "jobs: expected a list of 1 to 1000 dead letters, got an integer"),
    ],
)
def test_what_is_wrong_in_a_list_of_dead_letters_is_said_of_its_own_field(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        dropped_letters(body, "sms")
    assert str(refused.value).startswith(message)


def test_a_bad_queue_type_in_the_path_is_explained_in_a_sentence() -> None:
    with pytest.raises(InvalidRequest, match="neither first nor last; it is in the path"):
        queue_type_of({"queue_type": "~"})
