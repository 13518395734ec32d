// Finds out if the name of something new is taken, because the API's PUT would replace what has it.

import { ApiError, call } from "./api.js";

/**
 * Tell if the server knows what an address names.
 *
 * @param {string} address as of `path`
 * @returns {Promise<boolean>}
 */
export async function isTaken(address) {
  try {
    await call("GET", address);
    return true;
  } catch (error) {
    // The server says of a name that it does not allow more than this page could; that comes with the PUT.
    if (error instanceof ApiError && (error.status === 404 || error.status === 400)) return false;
    throw error;
  }
}
