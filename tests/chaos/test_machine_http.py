"""The plain-Python model of the scheduler beside a live server, over HTTP.

One queue, and times that do not come in a test's life: time itself is varied where it can be injected, by
tests/scheduler/machines/test_machine.py.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from sharq_core.models import EnqueueStatus, FinishJob, LeaseStatus, NewJob, ReleaseJob
from sharq_core.scheduler.function_call import MAX_CALL_BYTES
from sharq_core.scheduler.functions import Retention
from tests.chaos.stage import is_quick
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, START_US
from tests.scheduler.models.model import Model
from tests.support.processes.servers import SharqServer
from tests.support.stores.server import running_store

RANDOM = b"12345678"
QUEUE = "a"
JOB_IDS = ("1", "2", "12")
MAX_COUNT = 3

INTERVALS_US = st.sampled_from([0, 0, 0, HOUR_US])
STATUS_CODES = {LeaseStatus.NOT_FOUND: "not_found", LeaseStatus.LOST: "lease_lost"}
ENQUEUE_CODES = {EnqueueStatus.FULL: "queue_full", EnqueueStatus.NO_INTERVAL: "invalid_request"}

Lease = tuple[str, str, str]
"""job_id, the server's token, the model's"""

JOBS = st.builds(
    NewJob,
    queue_type=st.just(""),
    queue_id=st.just(QUEUE),
    job_id=st.sampled_from(JOB_IDS),
    payload=st.sampled_from([b"1", b'""', b'{"a":[1,null]}']),
    requeue_limit=st.sampled_from([-1, 0, 1]),
    interval_us=st.one_of(st.none(), INTERVALS_US),
    burst=st.sampled_from([None, None, 1, 5]),
    delay_us=st.sampled_from([0, 0, 0, DAY_US]),
    max_queued_length=st.sampled_from([None, None, 0, 1, 2]),
    repeat=st.booleans(),
)


class HttpMachine(RuleBasedStateMachine):
    """Every rule does the same thing to the model and to the server and compares the answers."""

    leases: Bundle[Lease] = Bundle("leases")
    refusals = frozenset({404})

    def __init__(self, url: str, kind: str) -> None:
        super().__init__()
        self.url = url
        self.kind = kind
        self.model = Model(kind, Retention(), START_US)

    @rule(jobs=st.lists(JOBS, min_size=1, max_size=4))
    def enqueue(self, jobs: list[NewJob]) -> None:
        answer = self._ask("POST", "/enqueue/", {"jobs": [self._body(job) for job in jobs]})
        found = [
            (one.get("code"), one.get("duplicate", False), one["status"] == "queued")
            for one in answer["results"]
        ]
        wanted = [answer.status for answer in self._model().enqueue(jobs)]
        taken = (EnqueueStatus.QUEUED, EnqueueStatus.DUPLICATE)
        assert found == [
            (ENQUEUE_CODES.get(status), status is EnqueueStatus.DUPLICATE, status in taken)
            for status in wanted
        ]

    @rule(target=leases, count=st.integers(1, MAX_COUNT))
    def dequeue(self, count: int) -> MultipleResults[Lease]:
        path = f"/dequeue/{self.kind}/?count={count}&lease={DAY_US // 1000}"
        found = self._ask("POST", path).get("jobs", [])
        wanted = self._model().dequeue(count, DAY_US, RANDOM, per_queue=100, max_bytes=MAX_CALL_BYTES).jobs
        assert [
            (job["job_id"], job["payload"], job["attempt"], job["requeues_remaining"]) for job in found
        ] == [(job.job_id, json.loads(job.payload), job.attempt, job.requeues_remaining) for job in wanted]
        assert [job["current_queue_length"] for job in found] == [job.queue_length for job in wanted]
        return multiple(
            *((job.job_id, seen["lease"], job.lease) for seen, job in zip(found, wanted, strict=True))
        )

    @rule(held=st.lists(leases, min_size=1, max_size=3))
    def finish(self, held: list[Lease]) -> None:
        refs = [FinishJob(self.kind, QUEUE, job_id, token) for job_id, _, token in held]
        assert self._end("finish", held) == [answer.status for answer in self._model().finish(refs)]

    @rule(held=st.lists(leases, min_size=1, max_size=3))
    def release(self, held: list[Lease]) -> None:
        refs = [ReleaseJob(self.kind, QUEUE, job_id, token, retries=True) for job_id, _, token in held]
        assert self._end("release", held) == [answer.status for answer in self._model().release(refs)]

    @rule(interval_us=INTERVALS_US, pin=st.sampled_from([None, False, True]))
    def interval(self, interval_us: int, pin: bool | None) -> None:
        body = {"interval": interval_us // 1000, **({} if pin is None else {"pin": pin})}
        found = self._ask("POST", f"/interval/{self.kind}/{QUEUE}/", body)["status"] == "success"
        assert found == self._model().interval(QUEUE, interval_us, None, pin)

    @rule(is_paused=st.sampled_from([False, False, True]))
    def pause(self, is_paused: bool) -> None:
        verb = "pause" if is_paused else "resume"
        found = self._ask("POST", f"/queue/{self.kind}/{QUEUE}/{verb}/")["status"] == "success"
        assert found == self._model().pause(QUEUE, is_paused)

    @rule()
    def delete_queue(self) -> None:
        found = self._ask("DELETE", f"/deletequeue/{self.kind}/{QUEUE}/")["status"] == "Success"
        assert found == bool(self._model().delete_queue(QUEUE, False, 100))

    @invariant()
    def jobs_are_where_the_model_has_them(self) -> None:
        for job_id in JOB_IDS:
            found = self._ask("GET", f"/job/{self.kind}/{QUEUE}/{job_id}/")
            wanted = self.model.get_job((QUEUE, job_id))
            assert found.get("state") == (wanted and wanted.state.value)
            assert found.get("attempt") == (wanted and wanted.attempt)

    def _model(self) -> Model:
        """The model, a moment later: no two of the server's calls have one time."""
        self.model.state.told_us += 1
        return self.model

    def _end(self, verb: str, held: list[Lease]) -> list[LeaseStatus]:
        """Return the server's answer to a bulk finish or release."""
        jobs = [
            {"queue_type": self.kind, "queue_id": QUEUE, "job_id": job_id, "lease": lease}
            for job_id, lease, _ in held
        ]
        codes = {code: status for status, code in STATUS_CODES.items()}
        results = self._ask("POST", f"/{verb}/", {"jobs": jobs})["results"]
        return [codes[one["code"]] if "code" in one else LeaseStatus.DONE for one in results]

    def _body(self, job: NewJob) -> dict[str, object]:
        optional = {
            "interval": None if job.interval_us is None else job.interval_us // 1000,
            "burst": job.burst,
            "max_queued_length": job.max_queued_length,
        }
        return {
            "queue_type": self.kind,
            "queue_id": QUEUE,
            "job_id": job.job_id,
            "payload": json.loads(job.payload),
            "requeue_limit": job.requeue_limit,
            "delay": job.delay_us // 1000,
            "repeat": job.repeat,
            **{name: value for name, value in optional.items() if value is not None},
        }

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                answer: dict[str, Any] = json.load(reply)
        except urllib.error.HTTPError as error:
            answer = json.load(error)
            assert error.code in self.refusals, answer
        return answer


@pytest.fixture(scope="module")
def server() -> Iterator[SharqServer]:
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        found = SharqServer(Path(directory), environ={"SHARQ_REDIS_URL": store.url})
        try:
            found.start()
            yield found
        finally:
            found.stop()


def settings_of_run(quick_examples: int) -> settings:
    """Return the settings of a machine that asks a whole server; a full run has 500 examples."""
    return settings(
        max_examples=quick_examples if is_quick() else 500,
        stateful_step_count=25,
        deadline=None,
        print_blob=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )


@pytest.mark.timeout(600)
def test_the_whole_server_answers_as_the_model(server: SharqServer) -> None:
    numbers = itertools.count()

    class Machine(HttpMachine):
        """Each example has a queue type of its own."""

        def __init__(self) -> None:
            super().__init__(server.url, f"t{next(numbers)}")

    run_state_machine_as_test(
        Machine,
        settings=settings_of_run(quick_examples=60),
    )
