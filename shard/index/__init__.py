"""The index of what is ready: when each queue type is due next in each partition, and how many jobs there are.

It learns from replies to calls, from notes of other nodes, and from reading the types in bounded pages. Subscribers are
told when a type becomes due.
"""
