"""A correction counts from the moment at which it is told: so says the store, and so do the witnesses.

The first job has a minute to say that it took less than it had reserved, and the second one is leased meanwhile.
"""

from __future__ import annotations

from copy import deepcopy

import pytest

from sharq_core.models import FinishJob, LeasedJob
from tests.scheduler.drivers.driver import DAY_US, MINUTE_US, SECOND_US, Driver, new_job
from tests.scheduler.drivers.types import GATHERED, TypeDriver, cost_limit
from tests.scheduler.machines.type_witness import TypeWitness
from tests.scheduler.machines.witness import Witness

COST = 10


def lease(driver: Driver, witness: Witness) -> LeasedJob:
    """Lease the one job that is ready, which the witness sees."""
    job = driver.lease_one(lease_us=DAY_US)
    witness.see_lease(job, -1, driver.now_us)
    return job


def correct_the_older_of_two_leases(driver: Driver, witness: Witness) -> None:
    """The rate lets the third job go one interval after the second, since the first gave back nine units just now."""
    first = lease(driver, witness)
    driver.advance(MINUTE_US)
    lease(driver, witness)
    job = FinishJob(driver.queue_type, "q", first.job_id, first.lease, cost=1)
    driver.value(driver.functions.finish(0, driver.queue_type, [job], now_us=driver.now_us))
    unaware = deepcopy(witness)
    witness.see_correction(first.lease, 1)
    driver.advance(SECOND_US)
    third = driver.lease_one(lease_us=DAY_US)
    witness.see_lease(third, -1, driver.now_us)
    with pytest.raises(AssertionError, match="units"):
        unaware.see_lease(third, -1, driver.now_us)
    driver.enqueue(new_job("last", queue_type=driver.queue_type, interval_us=None))
    assert driver.dequeue_reply().head_us == driver.now_us + COST * SECOND_US, "given back once"


def test_a_queue_gives_back_what_an_older_lease_did_not_take(driver: Driver) -> None:
    driver.enqueue(*(new_job(str(number), cost=COST) for number in range(3)))
    witness = Witness()
    witness.see_rate("q", (SECOND_US, 1))
    correct_the_older_of_two_leases(driver, witness)


def test_a_limit_of_a_type_gives_back_what_an_older_lease_did_not_take(sms: TypeDriver) -> None:
    sms.enqueue(*(new_job(str(number), queue_type=GATHERED, interval_us=0, cost=COST) for number in range(3)))
    limit = cost_limit()
    sms.limit(limit)
    witness = TypeWitness()
    witness.see_rate("q", (0, 1))
    witness.see_limits([limit])
    correct_the_older_of_two_leases(sms, witness)
