"""Faults on real processes; run by `make chaos`, not by `make test`."""
