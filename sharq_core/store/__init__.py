"""How the store is reached: one server over plain connections, or an embedded one that this process starts."""
