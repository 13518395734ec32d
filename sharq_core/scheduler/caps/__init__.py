"""Makes the calls about named caps: their ledgers, and the queues that have caps."""
