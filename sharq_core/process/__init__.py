"""The process side of every program: command line, signals, listening sockets, TLS files and metrics.

The four programs share these modules, so that they start, reload and stop alike.
"""
