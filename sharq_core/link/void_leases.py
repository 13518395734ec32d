"""Voids leases that no worker received: the jobs go back to their places, and the attempt does not count."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sharq_core.errors import SharqError
from sharq_core.link.messages import Failure, Release, ShardPort
from sharq_core.models import LeasedJob, ReleaseJob

log = logging.getLogger(__name__)


def void_releases(jobs: Sequence[LeasedJob]) -> list[ReleaseJob]:
    """Return the releases that void the leases of jobs."""
    return [ReleaseJob(job.queue_type, job.queue_id, job.job_id, job.lease, is_void=True) for job in jobs]


async def void_leases(port: ShardPort, jobs: Sequence[LeasedJob]) -> None:
    """Void leases at a shard; a lease that cannot be voided ends at its deadline."""
    try:
        outcomes = await port.call(Release(void_releases(jobs)))
    except SharqError as error:
        log.warning("lease_not_given_back code=%s: it ends at its deadline", error.code)
        return
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            log.warning("lease_not_given_back code=%s: it ends at its deadline", outcome.code)
