/**
 * The events of the console's stream (`GET console/stream`), as router/api/console_shapes.py makes them. This module has
 * types only. Times are in ms since the epoch, durations in ms; `null` stands for what is not known.
 */

/**
 * @typedef {Object} Totals The numbers of all types together; rates over the last 10 s, `_per_min` over the last minute.
 * @property {number|null} queued
 * @property {number|null} delayed
 * @property {number|null} leased
 * @property {number|null} dead
 * @property {number|null} enqueued_per_s
 * @property {number|null} delivered_per_s
 * @property {number|null} finished_per_s
 * @property {number|null} failed_per_min Attempts that failed: released and counted, or ended by time.
 * @property {number|null} died_per_min Jobs that became dead letters.
 * @property {number|null} ready_delay_p50_ms Time from ready to leased.
 * @property {number|null} ready_delay_p99_ms
 */

/**
 * @typedef {Object} TypeNumbers
 * @property {string} queue_type
 * @property {number} queued
 * @property {number} delayed
 * @property {number} leased
 * @property {number} dead
 * @property {number|null} enqueued_per_s
 * @property {number|null} delivered_per_s
 * @property {number|null} failed_per_min
 * @property {number|null} ready_for_ms How long the longest-ready job has waited for a worker; null: none is ready.
 * @property {string|null} blocked_by Why no queue gives a job now; null: one does, or it is not known yet.
 * @property {Record<string, number>} caps Limit or quota → share in use, 1 for all of it.
 */

/**
 * @typedef {Object} Minute
 * @property {number} at Start of the minute.
 * @property {number} enqueued
 * @property {number} delivered
 */

/**
 * @typedef {Object} Shard As in `/cluster/`.
 * @property {string} node
 * @property {string|null} address
 * @property {boolean} is_draining
 * @property {number} partitions
 * @property {{mode: string, is_reachable: boolean, notices: string[], partitions_away?: number, reason?: string}|null} store
 * @property {string} [reason] Why the shard cannot be reached.
 */

/**
 * @typedef {Object} Notice
 * @property {string} node One shard or several, with commas between them; empty: not known.
 * @property {string} code `store`, `node` (it itself), `router` (this one), `shard` (it cannot be reached) or `load` (its
 *     numbers are missing).
 * @property {string} text
 */

/**
 * @typedef {Object} Snapshot Event `snapshot`, every 2 s.
 * @property {number} at By the router's clock.
 * @property {number} every_ms
 * @property {Totals} totals
 * @property {Minute[]|null} minutes The last ten minutes, oldest first, the current one last.
 * @property {TypeNumbers[]} types Up to 200, those with most jobs first.
 * @property {number} types_total
 * @property {number} version Of the ring.
 * @property {number} partitions
 * @property {Shard[]} shards
 * @property {Notice[]} notices
 */

/**
 * @typedef {Object} QueueEvent Event `queue`, every 2 s with `?queue_type=…&queue_id=…`.
 * @property {string} queue_type
 * @property {string} queue_id
 * @property {number} at
 * @property {Record<string, any>|null} queue As in `GET /queue/<type>/<id>/`; null: no such queue.
 * @property {number} minute Start of the current minute by the store's clock.
 * @property {number} enqueued In that minute so far.
 * @property {number} delivered
 */

/**
 * @typedef {Object} TypeEvent Event `type`, every 2 s with `?queue_type=…` alone.
 * @property {string} queue_type
 * @property {number} at
 * @property {TypeNumbers|null} numbers Null: the type has no jobs.
 * @property {Record<string, any>|null} state As in `GET /type/<type>/`; null for a type that is not gathered.
 */

export {};
