"""The HTTP contract as data: routes, the shapes of requests and answers, their fields and how they are decoded.

The OpenAPI document is made from these definitions, and the handlers use the same ones. Nothing here sends a call to a
shard.
"""
