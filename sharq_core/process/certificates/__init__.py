"""The certificates that this process uses: when they end, and the warnings before that."""
