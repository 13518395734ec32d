"""The engine: models, errors, configuration, the link between router and shard, the store and the scheduler.

It knows no HTTP server. Arrows point down: the scheduler stands over the store and the link, these over the models, and
these over the errors.
"""
