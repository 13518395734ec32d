"""The use of named caps by one node: its slots, the queues that wait for them, and the dequeues that use both."""
