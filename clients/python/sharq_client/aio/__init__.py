"""The async client and its parts. Most modules of `sharq_client.sync` are generated from these."""
