"""The HTTP contract as data: routes, the shapes of requests and answers, their fields, and the decoders.

The OpenAPI document is made from these definitions, and the handlers use the same ones. Nothing here calls a shard.
"""
