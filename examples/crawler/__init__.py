"""A crawler: each host has its own queue, at the pace that its robots.txt asks for, and each page is visited once."""
