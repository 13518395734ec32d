"""The shard's end of the links: it accepts them from routers, checks who asks, and answers their calls."""
