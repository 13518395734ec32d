"""`sharq-cluster`: a whole cluster as processes on this machine, for trying out and for tests.

It starts the commands that a deployment starts, and imports none of them.
"""
