"""The contract about the life of single jobs: priority, expiry, retries, errors, cancellation, changes and lists."""
