"""The model of named caps, and the search for a breach of their bounds; docs/decisions/named-caps.md explains it."""
