"""A dialer: a trunk takes so many new calls a second and has so many channels, and calls outlast their leases."""
