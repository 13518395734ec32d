"""The index of ready work: when each queue type is due next in each partition, and how many jobs there are.

The index learns from replies to calls, from notes of other nodes, and from reading the types in bounded pages. It
notifies subscribers when a type becomes due.
"""
