"""The identity of the data set: detects a store that lost or changed its data, and refuses it.

Every node remembers the id of the data set and checks for it every second and over each new connection. An operator
accepts a loss with `--accept-data-loss`; docs/decisions/data-identity.md has the reasons.
"""
