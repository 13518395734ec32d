"""The engine: models, errors, configuration, the link between router and shard, the store and the scheduler.

It does not depend on any HTTP server. Imports point down: the scheduler imports the store and the link, these import
the models, and the models import the errors.
"""
