"""Defines the function library: its Lua files and their order, and the keys and flags of each function.

Function names begin with LIBRARY, so that two layouts can coexist during a rolling upgrade. REVISION grows with every
change of the text within one LIBRARY; a server's library is replaced only by one of a higher revision.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property
from importlib.resources import files

import msgspec

from sharq_core.scheduler.keys import OF_TYPE

LIBRARY = "sharq_1"
REVISION = 16

SHARED_FILES = (
    "shortcuts",
    "lists",
    "timer_kinds",
    "clock",
    "cap_sets",
    "windows",
    "retry_policy",
    "job_record",
    "notes",
    "queue_caps",
    "queue_windows",
    "queue_life",
    "queue_limits",
    "queue_record",
    "periods",
    "quotas",
    "type_settings",
    "lines",
    "blocked_by",
    "counters",
    "parking",
    "batches",
    "touched",
    "tombstones",
    "results",
    "dead_letters",
    "unit",
    "remembered",
    "job_status",
    "queue_walk",
    "queue_stats",
    "job_permits",
    "transitions",
    "expiry",
    "reports",
    "explanation",
    "type_stats",
    "sweep",
    "timers",
    "rounds",
    "leases",
    "endings",
    "members",
    "identity",
    "enqueue_job",
    "schedule_record",
    "caps",
    "cap_slots",
    "cap_turns",
    "permits",
    "cap_state",
    "partition_keys",
    "joint",
)
"""The names of the Lua files that all functions share, in the order of the library."""

_ALL_KEYS = (
    "ready",
    "queued",
    "jobs",
    "timers",
    "queues",
    "counters",
    "done0",
    "done1",
    "deadjobs",
    "dead",
    "deadcounts",
)

_LIVE_KEYS = _ALL_KEYS[:-2]
"""The keys of functions that read dead letters and create none."""

_NOTES, _RESULTS = "notes", ("results", "resulted")
"""The keys of notes and of results. They have no numbers in KEY: Lua derives their names when a job has a note or a
result (lua/notes.lua, lua/results.lua).
"""

_CAPS, _PERMITS = "caps", "permits"
"""The keys of caps and of their permits, which have no numbers either (lua/caps.lua, lua/permits.lua)."""

_PARKING = ("parked", "capsets")
"""The keys of queues with caps, which have no numbers either (lua/parking.lua)."""

_DERIVED = frozenset({_NOTES, *_RESULTS, _CAPS, _PERMITS, *_PARKING})

_JOBS = (*_ALL_KEYS, _NOTES, *_PARKING)
"""The keys of functions that end the lives of jobs."""

_QUEUES = (*_ALL_KEYS, *_PARKING)
"""The keys of functions that change queues."""

_LEASES = (*_LIVE_KEYS, _NOTES, *_PARKING)
"""The keys of functions that end or extend leases and create no dead letters."""

KEYS_OF_TYPE = ("ready", "timers", "queues", "counters", *_PARKING)
"""The keys of functions that tell why a type leases nothing."""

_SCHEDULES = ("schedules", "schedule_jobs")

_KEY_ORDER = (*_ALL_KEYS, "partitions", "members", "identity", *_SCHEDULES)
"""The keys in the order of their numbers in Lua (KEY). A table of names would add 1-2 % to the cost of each call."""


class Function(msgspec.Struct, frozen=True, dict=True):
    """One function of the library.

    Attributes:
        keys: the names of its keys, in the order in which they are passed.
        flags: the flags of its registration: allow-oom, so that a full store can be drained, or no-writes.
        joins: True if calls for several partitions can be merged into one (joint.py).
    """

    name: str
    keys: tuple[str, ...]
    flags: tuple[str, ...] = ("allow-oom",)
    joins: bool = False

    @cached_property
    def wire_name(self) -> bytes:
        """The name that FCALL takes."""
        return f"{LIBRARY}_{self.name}".encode()

    @cached_property
    def joint_name(self) -> bytes:
        """The name that FCALL takes for a joint call."""
        return f"{LIBRARY}_joint_{self.name}".encode()

    @cached_property
    def is_read(self) -> bool:
        """True if the function writes nothing: a call is safe to repeat and never *perhaps done*."""
        return "no-writes" in self.flags


_READ = ("no-writes",)

ENQUEUE = Function("enqueue", _JOBS, (), joins=True)
DEQUEUE = Function("dequeue", _JOBS, joins=True)
DEQUEUE_CAPPED = Function("dequeue_capped", _JOBS, joins=True)
LIST_PARKED = Function("list_parked", ("counters", *_PARKING), _READ, joins=True)
CAP_USES = Function("cap_uses", ("counters",), _READ, joins=True)
FINISH = Function("finish", _LEASES, joins=True)
FINISH_WITH_RESULTS = Function("finish_with_results", (*_LEASES, *_RESULTS), (), joins=True)
EXTEND = Function("extend", _LEASES, joins=True)
RELEASE = Function("release", _JOBS, joins=True)
INTERVAL = Function("interval", _QUEUES)
PAUSE = Function("pause", _QUEUES)
DELETE_QUEUE = Function("delete_queue", _JOBS)
REAP = Function("reap", _JOBS)
REDRIVE = Function("redrive", _JOBS)
TURN = Function("turn", ("counters", "done0", "done1"))
TRIM_RESULTS = Function("trim_results", ("counters", *_RESULTS))
_LETTERS = ("counters", "dead", "deadjobs", "deadcounts", _NOTES)
DROP_DEAD = Function("drop_dead", _LETTERS)
DROP_DEAD_LETTER = Function("drop_dead_letter", _LETTERS)
DROP_LETTERS = Function("drop_letters", _LETTERS)
CANCEL = Function("cancel", _JOBS, joins=True)
CANCEL_MATCHING = Function("cancel_matching", _JOBS)
CHANGE_JOB = Function("change_job", _JOBS, ())
GET_BATCH = Function("get_batch", ("counters", _NOTES), _READ, joins=True)
CANCEL_BATCH = Function("cancel_batch", _JOBS)
ASK_BATCHES = Function("ask_batches", ("counters", _NOTES), _READ, joins=True)
DROP_BATCHES = Function("drop_batches", ("timers", "counters", _NOTES), joins=True)
GET_JOB = Function(
    "get_job",
    ("queued", "jobs", "queues", "done0", "done1", "deadjobs", "counters", _NOTES, "results"),
    _READ,
)
LIST_JOBS = Function("list_jobs", ("queued", "jobs", "timers", "queues", "counters", _NOTES), _READ)
GET_QUEUE = Function("get_queue", ("queued", "jobs", "queues", "counters", "deadcounts"), _READ)
SET_QUEUE = Function("set_queue", _QUEUES)
LIST_QUEUE_STATS = Function("list_queue_stats", ("queued", "jobs", "queues", "counters", "deadcounts"), _READ)
LIST_QUEUES = Function("list_queues", ("queues", "counters"), _READ)
TOP_QUEUES = Function(
    "top_queues", ("ready", "queued", "jobs", "queues", "counters", "deadcounts", *_PARKING), _READ
)
GET_COUNTS = Function("get_counts", ("counters",), _READ, joins=True)
LIST_DEAD = Function("list_dead", ("dead", "deadjobs", "counters"), _READ)
REFRESH = Function("refresh", ("counters", "done0", "done1"), _READ, joins=True)
CLAIM_PARTITIONS = Function("claim_partitions", ("partitions", "identity"))
LOOK_AT_DATA = Function("look_at_data", ("partitions", "identity"))
CHECK_PARTITION = Function("check_partition", ("counters",), joins=True)
ENTER_PARTITION = Function("enter_partition", ("counters",), joins=True)
SETTLE_DATA = Function("settle_data", ("partitions", "identity"))
ACCEPT_LOSS = Function("accept_loss", ("partitions", "identity"))
HEARTBEAT = Function("heartbeat", ("members", "partitions", "identity"))
SURVEY = Function("survey", ("counters", "done0", "done1"), _READ, joins=True)
GET_TYPE = Function("get_type", ("counters",), _READ, joins=True)
LIST_TYPES = Function("list_types", ("counters",), _READ, joins=True)
EXPLAIN = Function("explain", KEYS_OF_TYPE, _READ, joins=True)
EXPLAIN_TYPES = Function("explain_types", ("counters",), _READ, joins=True)
GET_TYPE_STATS = Function("get_type_stats", KEYS_OF_TYPE, _READ, joins=True)
LIST_TYPE_STATS = Function("list_type_stats", ("counters",), _READ, joins=True)
SET_TYPE = Function("set_type", KEYS_OF_TYPE)
PUT_PERIODS = Function("put_periods", ("counters",))
GET_PERIODS = Function("get_periods", ("counters",), _READ, joins=True)
PAUSE_TYPE = Function("pause_type", ("ready", "counters"), joins=True)
PAUSE_ALL = Function("pause_all", ("counters",), joins=True)
TOUCH = Function("touch", ("counters",))
SET_CLOCK = Function("set_clock", ("counters",))
LEAVE = Function("leave", ("members",))
PUT_WINDOW = Function("put_window", ("counters",), (), joins=True)
DROP_WINDOW = Function("drop_window", ("counters",), joins=True)
GET_WINDOW = Function("get_window", ("counters",), _READ, joins=True)
GET_WINDOWS = Function("get_windows", ("counters",), _READ, joins=True)
RESCORE_WINDOWS = Function("rescore_windows", ("ready", "queues", "counters", *_PARKING))
CLAIM_SCHEDULE = Function("claim_schedule", ("counters", "schedules"))
SETTLE_SCHEDULE = Function("settle_schedule", ("counters", "schedules"))
PUT_SCHEDULE = Function("put_schedule", ("counters", *_SCHEDULES), ())
DROP_SCHEDULE = Function("drop_schedule", ("counters", *_SCHEDULES))
PAUSE_SCHEDULE = Function("pause_schedule", ("counters", *_SCHEDULES))
GET_SCHEDULE = Function("get_schedule", _SCHEDULES, _READ)
LIST_SCHEDULES = Function("list_schedules", ("schedules",), _READ)
FIRE_SCHEDULE = Function("fire_schedule", (*_ALL_KEYS, *_SCHEDULES, _NOTES, *_PARKING), ())
MOVE_SCHEDULE = Function("move_schedule", ("counters", "schedules"))
FORGET_SCHEDULE = Function("forget_schedule", ("schedules",))
PUT_CAP = Function("put_cap", ("counters", _CAPS, _PERMITS), (), joins=True)
GET_CAP = Function("get_cap", ("counters", _CAPS), _READ, joins=True)
DROP_CAP = Function("drop_cap", ("counters", _CAPS), joins=True)
LIST_CAPS = Function("list_caps", ("counters", _CAPS), _READ, joins=True)
CAP_TAKE = Function("cap_take", ("counters", _CAPS, _PERMITS), joins=True)
CAP_RETURN = Function("cap_return", ("counters", _CAPS, _PERMITS), joins=True)
CAP_CORRECT = Function("cap_correct", ("counters", _CAPS), joins=True)
CAP_SETTLE = Function("cap_settle", ("counters", _CAPS, _PERMITS), joins=True)
CAP_RENEW = Function("cap_renew", ("counters", _CAPS, _PERMITS), joins=True)
CAP_HOLD = Function("cap_hold", ("counters", _CAPS), joins=True)

FUNCTIONS = tuple(value for value in vars().copy().values() if isinstance(value, Function))
"""All functions above, in their order."""

_INTERNAL = frozenset(
    {
        REAP,
        TURN,
        TOUCH,
        SET_CLOCK,
        PUT_PERIODS,
        LOOK_AT_DATA,
        CHECK_PARTITION,
        HEARTBEAT,
        LEAVE,
        FIRE_SCHEDULE,
        MOVE_SCHEDULE,
        FORGET_SCHEDULE,
        TRIM_RESULTS,
        DROP_BATCHES,
        CAP_TAKE,
        CAP_RETURN,
        CAP_CORRECT,
        CAP_SETTLE,
        CAP_RENEW,
    }
)
"""The nodes' internal functions: no client sees their results, and nodes repeat what a failover undoes.

claim_partitions is not among them. On a Redis Cluster the jobs may be on other servers than the number of partitions,
and no job may outlive that number, or a node with another number could start on the same data.
"""


def _names(functions: Iterable[Function]) -> frozenset[bytes]:
    return frozenset(name for function in functions for name in (function.wire_name, function.joint_name))


PROMISED = _names(function for function in FUNCTIONS if not function.is_read and function not in _INTERNAL)
"""Wire names of the functions whose answer promises a client that a change lasts, or that it was made before."""

OF_DATA_SET = _names(
    (
        CLAIM_PARTITIONS,
        LOOK_AT_DATA,
        CHECK_PARTITION,
        ENTER_PARTITION,
        SETTLE_DATA,
        ACCEPT_LOSS,
        HEARTBEAT,
        LEAVE,
    )
)
"""Wire names of the functions that identify the data set; they run even if the data set is in doubt."""

LEASE_ENDING = _names((FINISH, FINISH_WITH_RESULTS, EXTEND, RELEASE))
"""Wire names of the functions of PROMISED that end or extend a lease."""


def lua_files() -> list[tuple[str, str]]:
    """Return the name and the text of each Lua file, in the order in which they make up the library."""
    folder = files(__package__) / "lua"
    names = (*SHARED_FILES, *(function.name for function in FUNCTIONS))
    return [(name, (folder / f"{name}.lua").read_text(encoding="utf-8")) for name in names]


@cache
def source() -> str:
    """Return the library's text, as FUNCTION LOAD takes it.

    Functions and the helpers of shared files are in blocks, because Lua allows 200 locals in a chunk.
    """
    texts = dict(lua_files())
    head = (f"#!lua name={LIBRARY}", _KEY_NUMBERS, _KEY_KINDS, _KEY_OF_TYPE)
    shared = (_shared(name, texts[name]) for name in SHARED_FILES)
    blocks = (_block(function, texts[function.name]) for function in FUNCTIONS)
    return "\n".join([*head, *shared, *blocks, _REVISION_FUNCTION])


def _shared(name: str, text: str) -> str:
    """Return the text of a shared file, with its helpers in a block; its lines keep their numbers."""
    head, begins, rest = text.partition(f"\nlocal {name} = ")
    return f"{head}\nlocal {name} do {name} = {rest}\nend" if begins else text


def _block(function: Function, text: str) -> str:
    kinds = (False, True) if function.joins else (False,)
    return "\n".join(["do", text, *(_registration(function, is_joint=is_joint) for is_joint in kinds), "end"])


_KEY_NUMBERS = (
    "local KEY = {\n  "
    + ",\n  ".join(f"{key} = {number}" for number, key in enumerate(_KEY_ORDER, start=1))
    + ",\n}"
)
_KEY_KINDS = "local KEY_KINDS = {\n  " + ",\n  ".join(f"'{key}'" for key in _ALL_KEYS) + ",\n}"
_KEY_OF_TYPE = (
    "local KEY_OF_TYPE = {\n  "
    + ",\n  ".join(f"{key} = true" for key in _ALL_KEYS if key in OF_TYPE)
    + ",\n}"
)


def _keys(function: Function) -> str:
    """Return the Lua expression of the function's keys, indexed by their numbers in KEY.

    A function whose keys are the first ones of _KEY_ORDER passes them on as they are. Derived keys come last.
    """
    keys = tuple(key for key in function.keys if key not in _DERIVED)
    if keys == _KEY_ORDER[: len(keys)]:
        return "keys"
    numbers = (_KEY_ORDER.index(key) + 1 for key in keys)
    pairs = [f"[{number}] = keys[{at}]" for at, number in enumerate(numbers, start=1)]
    rows = (", ".join(pairs[at : at + 6]) for at in range(0, len(pairs), 6))
    return "{" + ",\n      ".join(rows) + "}"


def _registration(function: Function, *, is_joint: bool) -> str:
    flags = ", ".join(f"'{flag}'" for flag in function.flags)
    name, run = (function.joint_name if is_joint else function.wire_name).decode(), f"{function.name}.run"
    tx = f"unit.open(\n      {_keys(function)},\n      unit.time(args[1]), args[2])"
    call = f"joint.run({run}, keys, args)" if is_joint else f"{run}({tx}, args, 3, #args - 2)"
    return (
        f"redis.register_function{{function_name = '{name}',\n  flags = {{{flags}}},\n"
        f"  callback = function(keys, args)\n    if not call then bind() end\n    return {call}\n  end}}"
    )


_REVISION_FUNCTION = (
    f"redis.register_function{{function_name = '{LIBRARY}_revision', flags = {{'no-writes'}},\n"
    f"  callback = function() return {REVISION} end}}\n"
)
