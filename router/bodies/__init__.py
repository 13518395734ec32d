"""The bodies of incoming requests: the memory for them, their decompression, and the parsing of large ones.

Received bytes are counted over all connections, and a slow body gives way to others. A body of more than 64 KiB is
parsed in a child process, so that no body blocks the event loop.
"""
