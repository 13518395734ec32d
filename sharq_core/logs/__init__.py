"""What a process writes for people: its log lines, and the words in them.

Lines are written by threads of their own, so that a reader that stands still stops no service. What lasts is repeated
every 30 s, and what strangers cause is one line in a while.
"""
