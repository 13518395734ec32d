"""The contract of named caps: limits that any queues share."""
