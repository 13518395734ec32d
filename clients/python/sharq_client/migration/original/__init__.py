"""Takes over a live deployment of the original SHARQ: its queues, jobs, intervals, requeue counts and leases."""
