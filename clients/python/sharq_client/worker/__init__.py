"""The worker: it leases jobs, runs their handlers, and reports the outcomes."""
