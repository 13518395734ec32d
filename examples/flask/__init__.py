"""A web shop in Flask that notifies the systems of its customers, each at the pace which that system bears."""
