"""The HTTP server: aiohttp, and the parts of it that are replaced because they are on every request's way.

Connections, requests, responses, admission, tokens, the access log and the metrics of HTTP live here. What a request
asks for is read in `router/api` and done in `router/handlers`.
"""
