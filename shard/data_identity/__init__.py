"""The identity of the data set: a store that lost or changed its data is noticed and refused.

Every node remembers the id of the data set and looks for it every second and over each new connection. An operator
accepts a loss with `--accept-data-loss`; docs/decisions/data-identity.md has the reasons.
"""
