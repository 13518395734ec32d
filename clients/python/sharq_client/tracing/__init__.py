"""Spans of the client and of the worker, if the program uses OpenTelemetry."""
