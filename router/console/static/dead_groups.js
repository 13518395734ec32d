// Dead letters grouped by their reason and the first line of their error.

/**
 * @typedef {object} Letter
 * @property {string} queue_id
 * @property {string} job_id
 * @property {number} attempt
 * @property {number} dead_at ms since the epoch
 * @property {string} reason
 * @property {string | undefined} error
 *
 * @typedef {object} Group
 * @property {string} key
 * @property {string} reason `limit` or `expired`
 * @property {string} text the first line of the error without its varying parts; empty if no release gave one
 * @property {Letter[]} letters in the order of their reading
 * @property {Set<string>} queues
 * @property {number} oldest_at ms since the epoch
 * @property {number} newest_at ms since the epoch
 */

// Ids and long numbers differ from one error to the next, status codes such as 404 and 503 are what tells them apart.
const VARYING = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\b(?=[a-f]*\d)[0-9a-f]{8,}\b|\d{4,}(?:\.\d+)?/gi;
const MAX_TEXT = 300;

/**
 * Return the first line of an error without the parts that differ from job to job: UUIDs, hexadecimal ids and numbers of four digits or
 * more.
 *
 * @param {string | undefined} error
 * @returns {string}
 */
export function errorPattern(error) {
  const [line = ""] = (error ?? "").trim().split("\n", 1);
  const text = line.replace(VARYING, "…");
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

/** The groups of the dead letters that were read so far. */
export class DeadGroups {
  constructor() {
    /** @type {Map<string, Group>} */
    this.groups = new Map();
    this.read = 0;
  }

  /**
   * Add a page of dead letters. Their payloads are not kept.
   *
   * @param {ReadonlyArray<Letter>} page
   */
  add(page) {
    for (const { queue_id, job_id, attempt, dead_at, reason, error } of page) {
      const text = errorPattern(error);
      const key = `${reason}\n${text}`;
      const group = this.groups.get(key) ?? this.#open(key, reason, text);
      group.letters.push({ queue_id, job_id, attempt, dead_at, reason, error });
      group.queues.add(queue_id);
      group.oldest_at = Math.min(group.oldest_at, dead_at);
      group.newest_at = Math.max(group.newest_at, dead_at);
      this.read += 1;
    }
  }

  /**
   * Forget letters that are no longer dead.
   *
   * @param {Group} group
   * @param {ReadonlySet<Letter>} gone
   */
  remove(group, gone) {
    group.letters = group.letters.filter((letter) => !gone.has(letter));
    this.read -= gone.size;
    if (group.letters.length === 0) this.groups.delete(group.key);
  }

  /**
   * Return the groups, the largest first.
   *
   * @returns {Group[]}
   */
  sorted() {
    return [...this.groups.values()].sort(
      (a, b) => b.letters.length - a.letters.length || b.newest_at - a.newest_at,
    );
  }

  /**
   * @param {string} key
   * @param {string} reason
   * @param {string} text
   * @returns {Group}
   */
  #open(key, reason, text) {
    const group = { key, reason, text, letters: [], queues: new Set(), oldest_at: Infinity, newest_at: 0 };
    this.groups.set(key, group);
    return group;
  }
}
