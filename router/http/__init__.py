"""The HTTP server: aiohttp, with its own parts in place of those that every request pays for.

This package holds connections, requests, responses, admission, tokens, the access log and the HTTP metrics.
`router/api` parses requests, and `router/handlers` carries them out.
"""
