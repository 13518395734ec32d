"""Implements `--accept-data-loss` of `sharq-shard` and `sharq-server`: continue with the data that the store holds now.

The command writes a new generation of the data set into the store. The running nodes find it within about a second and
continue without a restart.
"""

from __future__ import annotations

from shard.data_identity.loss import Accepted, DataSet
from shard.store_factory import make_configured_store
from sharq_core.config import Config, StoreAddress
from sharq_core.errors import SharqError
from sharq_core.logs.plurals import counted
from sharq_core.logs.standard_files import announce
from sharq_core.scheduler.data_set import NONE, DataCalls
from sharq_core.scheduler.executor import Executor
from sharq_core.scheduler.keys import Keys


class NotAccepted(Exception):
    """The error of a loss that could not be accepted; the message gives the reason."""


async def accept_data_loss(
    config: Config, address: StoreAddress, expected: str | None = None
) -> Accepted | None:
    """Accept the data loss of the store at an address and report it on stdout; return None if nothing is lost.

    Args:
        expected: the id of the data set that should be there, if the caller knows it.

    Raises:
        ConfigError: the data was made with another number of partitions. Nothing was changed.
        NotAccepted: the store cannot be reached or refuses. Nothing was changed, or the command can be repeated.
    """
    store = make_configured_store(config.redis, address)
    keys = Keys(config.key_prefix, config.cluster.partitions)
    try:
        await store.open()
        data = DataSet(Executor(store, keys), DataCalls(keys), keys.partitions)
        accepted = await data.accept_loss([expected] if expected else [])
    except SharqError as error:
        raise NotAccepted(f"the loss was not accepted: {error.message}") from error
    finally:
        await store.close()
    announce(_report(accepted, keys.partitions))
    return accepted


def _report(accepted: Accepted | None, partitions: int) -> str:
    if accepted is None:
        return f"nothing to accept: every partition ({partitions}) belongs to the data set that the store names\n"
    counts = ", ".join(
        f"{count} of {f'the data set {data_id}' if data_id != NONE else 'none'}"
        for data_id, count in accepted.found.items()
    )
    return (
        f"accepted: the data set is {accepted.data_id} from now on (generation {accepted.generation}). Before, of "
        f"{counted(partitions, 'partition')}: {counts}. Running nodes go on within about a second\n"
    )
