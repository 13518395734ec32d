"""The values of campaigns: windows of time in which jobs may be leased.

The layers exchange them. The rules are in sharq_core/scheduler/lua, and the times of windows in shard/calendar.
"""
