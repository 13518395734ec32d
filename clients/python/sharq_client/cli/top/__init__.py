"""Shows the types and the customers of a server live: `sharq top`."""
