"""`sharq-server --workers N` as real processes, on the embedded store."""
