"""Traces: the context of a trace on the wire and in the store, and the spans of routers and shards.

Spans need the extra `otel` and `traces = on` in the configuration; without them nothing of OpenTelemetry is imported.
"""
