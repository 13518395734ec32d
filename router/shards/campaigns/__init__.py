"""Routes what concerns several partitions of a campaign."""
