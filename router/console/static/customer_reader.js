// Reads the queues of a type: the first ones of an order, or those whose ids contain a text.

import { call, path } from "./api.js";

/**
 * @typedef {object} Customer a queue of `GET /queues/<type>/`
 * @property {string} queue_id
 * @property {number} interval ms
 * @property {number} queued
 * @property {number} delayed
 * @property {number} leased
 * @property {number} dead
 * @property {number} delivered
 * @property {number | null} promised
 * @property {string | null} blocked_by
 * @property {number | null} next_ready_in ms
 * @property {number | null} oldest_age ms
 *
 * @typedef {"depth" | "age" | "dead"} Order
 * @typedef {object} Found
 * @property {Customer[]} customers in their order
 * @property {boolean} isComplete false if more may exist that were not looked at
 * @property {number} pages how many calls it took
 */

/** The page never has more rows, however many queues there are. */
export const MOST_ROWS = 100;

/** A search in a very large type ends after this number of calls; the reader may type more of the id. */
const MOST_PAGES = 50;

/**
 * Read the first queues of an order.
 *
 * @param {string} queueType
 * @param {Order} by
 * @param {{limit?: number, signal: AbortSignal}} options
 * @returns {Promise<Found>}
 */
export async function readFirst(queueType, by, { limit = MOST_ROWS, signal }) {
  const answer = await call("GET", path("queues", queueType), { query: { by, limit }, signal });
  return { customers: answer.queues.slice(0, limit), isComplete: answer.complete, pages: 1 };
}

/**
 * Read queues whose ids contain a text, until there are enough or no more.
 *
 * @param {string} queueType
 * @param {string} text
 * @param {Order} by
 * @param {AbortSignal} signal
 * @returns {Promise<Found>}
 */
export async function search(queueType, text, by, signal) {
  /** @type {Map<string, Customer>} */
  const found = new Map();
  /** @type {string | null} */
  let cursor = null;
  let pages = 0;
  do {
    const query = { search: text, limit: MOST_ROWS, cursor };
    const answer = await call("GET", path("queues", queueType), { query, signal });
    // A queue may come twice while the store rearranges its table.
    for (const customer of answer.queues) found.set(customer.queue_id, customer);
    cursor = answer.cursor;
    pages += 1;
  } while (cursor !== null && found.size < MOST_ROWS && pages < MOST_PAGES);
  const customers = inOrder([...found.values()], by).slice(0, MOST_ROWS);
  return { customers, isComplete: cursor === null, pages };
}

/**
 * Return queues in an order, as the server has it.
 *
 * @param {Customer[]} customers
 * @param {Order} by
 * @returns {Customer[]}
 */
export function inOrder(customers, by) {
  /** @param {Customer} customer */
  const rank = (customer) => {
    if (by === "dead") return customer.dead;
    return by === "age" ? (customer.oldest_age ?? -1) : customer.queued + customer.delayed;
  };
  return customers.toSorted((a, b) => rank(b) - rank(a) || (a.queue_id < b.queue_id ? -1 : 1));
}
