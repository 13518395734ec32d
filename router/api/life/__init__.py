"""The contract about the life of single jobs: priority, expiry, retries, errors, cancellation, changes and lists.

Not here: the fields that jobs had before them (router/api/fields.py), and the routes (router/api/routes/life.py).
"""
