"""The values that the audit log shows of a change, and the operations that it has."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router.api.campaigns.schedule_shapes import ScheduledEntry
from router.api.routes.table import ROUTES
from router.audit.audit_log import is_audited, shown_query
from router.audit.fields import MAX_JOBS, NOT_SHOWN, SHOWN, changed_fields

CONTENTS = {"payload"}
"""The fields of audited bodies that hold what a job is about."""

PARTS = {"job", "jobs"}
"""The fields of audited bodies that hold jobs."""

HIDDEN = "hush-hush"


def test_every_field_of_a_changing_body_is_shown_or_known_as_content() -> None:
    bodies = [route.body for route in ROUTES if is_audited(route) and route.body is not None]
    fields = {
        field.encode_name for body in [*bodies, ScheduledEntry] for field in msgspec.structs.fields(body)
    }
    assert fields - SHOWN == CONTENTS | PARTS
    assert fields >= SHOWN, "nothing is shown that no body has"


def test_the_traffic_of_jobs_and_reads_are_left_out() -> None:
    assert {route.operation for route in ROUTES if is_audited(route)} == {
        "cancel_batch", "cancel_bulk", "cancel_job", "cancel_prefix", "change_job", "clear_type",
        "delete_schedule", "deletequeue", "drop_cap", "drop_dead", "drop_letter", "drop_letters", "drop_window",
        "hold_cap", "interval", "pause", "pause_all", "pause_schedule", "pause_type", "put_cap", "put_schedule",
        "put_window", "redrive", "redrive_letter", "resume", "resume_all", "resume_schedule", "resume_type",
        "set_queue", "set_type",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b"", {}),
        (b" {} ", {}),
        (b'{"rate":"5/s","pin":true,"weight":null}', {"rate": "5/s", "pin": True, "weight": None}),
        (b'{"payload":{"to":"hush-hush"},"priority":3}', {"payload": NOT_SHOWN, "priority": 3}),
        (b'{"error":"hush-hush","result":"hush-hush"}', {"error": NOT_SHOWN, "result": NOT_SHOWN}),
        (
            b'{"every":1000,"job":{"queue_type":"sms","queue_id":"q","payload":"hush-hush","cost":2}}',
            {"every": 1000, "job": {"queue_type": "sms", "queue_id": "q", "payload": NOT_SHOWN, "cost": 2}},
        ),
        (
            b'{"jobs":[{"queue_type":"sms","queue_id":"q","job_id":"1","force":true},{"queue_id":"q"},7]}',
            {"jobs": 3, "job_paths": ["sms/q/1", NOT_SHOWN, NOT_SHOWN]},
        ),
        (b'{"jobs":[{"queue_id":"q","job_id":"1"}]}', {"jobs": 1, "job_paths": ["q/1"]}),
        (
            rb'{"jobs":[{"queue_id":"q","job_id":"\ud83d"},{"queue_id":"q","job_id":"2"}]}',
            {"jobs": 2, "job_paths": [NOT_SHOWN, "q/2"]},
        ),
    ],
)
def test_the_values_of_settings_are_shown_and_contents_never(body: bytes, changed: dict[str, Any]) -> None:
    assert changed_fields(body) == changed
    assert HIDDEN not in str(changed_fields(body))


def test_an_entry_is_bounded() -> None:
    jobs = [{"queue_type": "sms", "queue_id": "q" * 500, "job_id": str(number)} for number in range(1000)]
    changed = changed_fields(msgspec.json.encode({"jobs": jobs}))
    assert changed["jobs"] == 1000
    assert len(changed["job_paths"]) == MAX_JOBS
    assert max(map(len, changed["job_paths"])) < 200
    long = changed_fields(msgspec.json.encode({"except": ["2026-01-01"] * 1000, "tz": "UTC"}))
    assert long == {"except": "(too long to be shown)", "tz": "UTC"}


def test_the_query_of_a_failed_call_is_cut() -> None:
    assert shown_query({"limit": "5", "cursor": "x"}) == {"limit": "5", "cursor": "x"}
    shown = shown_query({"a": "é" * 100, "b" * 300: "c", "d": "e"})
    assert shown == {"a": "é" * 100, "b" * 55: ""}
