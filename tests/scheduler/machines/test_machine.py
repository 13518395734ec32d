"""The scheduler's functions beside the plain-Python model, driven by Hypothesis at an injected clock.

HYPOTHESIS_PROFILE=thorough runs many more and longer examples. A failure prints its steps and the blob that repeats it.
"""

from __future__ import annotations

import itertools
import os

import pytest
import redis
from hypothesis import settings
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from tests.scheduler.drivers.driver import (
    HOUR_US,
    MINUTE_US,
    SECOND_US,
    new_job,
)
from tests.scheduler.machines.life_machine import LifeMachine
from tests.support.extent import CHOSEN_KINDS


@pytest.mark.parametrize("store", CHOSEN_KINDS, indirect=True, scope="session")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_functions_answer_as_the_model_and_keep_the_invariants(client: redis.Redis, prefix: str) -> None:
    numbers = itertools.count()

    class Machine(LifeMachine):
        """Each example has a deployment of its own."""

        def __init__(self) -> None:
            super().__init__(client, f"{prefix}-{next(numbers)}")

    chosen = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
    run_state_machine_as_test(Machine, settings=chosen)


def test_the_model_keeps_the_minutes_that_a_queue_keeps(client: redis.Redis, prefix: str) -> None:
    """The clock steps ahead by an hour and back; and two minutes are ten minutes old when the next one is counted."""
    machine = LifeMachine(client, prefix)
    for step_us in (MINUTE_US, HOUR_US, -HOUR_US, MINUTE_US, 8 * MINUTE_US, 2 * MINUTE_US, -20 * SECOND_US):
        machine.enqueue([new_job(f"after {step_us}", "a")], None)
        machine.advance(step_us)
        machine.reads_agree_create_nothing_and_the_keys_agree()
    machine.teardown()
