"""The HTTP API of the fake: requests are checked and answered as the server does, without a socket."""
