"""The front: the HTTP API of API.md over the shards. It knows no store."""
