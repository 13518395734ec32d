"""The bodies of requests on their way in: room for them, decompression, and who reads large ones.

What has come is counted over all connections, and a body that is slow gives way to others. A body of more than 64 KiB
is parsed in a child process, so that no body holds the event loop.
"""
