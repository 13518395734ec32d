"""What every program does as a process: command line, logging, signals, listening sockets, TLS files and metrics.

The four programs share these modules, so that they start, reload and stop alike.
"""
