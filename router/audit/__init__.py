"""The audit log: one entry for each change that a caller made or was refused, in the log and in a file of its own."""
