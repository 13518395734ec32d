"""A dialer: a trunk limits new calls a second and calls at one time, and calls outlast their leases."""
