"""Load that several benchmarks share: loops over HTTP that run as processes of their own, and wrk with its scripts.

It also has the yardsticks that are measured in the same run. The load of one benchmark alone stands beside it.
"""
