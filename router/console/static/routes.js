// Names the views and their addresses: the part behind `#` in the location.

/**
 * @typedef {Record<string, string>} Parameters the names of the path and of the query with their values
 * @typedef {{view: string, parameters: Parameters}} Place
 */

/** The names in the path of each view. */
const PATHS = /** @type {Record<string, string[]>} */ ({
  overview: [],
  types: [],
  type: ["queue_type"],
  customers: ["queue_type"],
  queue: ["queue_type", "queue_id"],
  dead: ["queue_type"],
  windows: [],
  caps: [],
  schedules: ["queue_type"],
  ring: [],
});

/**
 * Return the address of a view.
 *
 * @param {string} view
 * @param {string[]} [path] the values of its path, such as a type and a queue
 * @param {Record<string, string | number | null | undefined>} [query] null, undefined and "" are left out
 * @returns {string} such as `#/queue/sms/eu%2Facme?state=leased`
 */
export function href(view, path = [], query = {}) {
  const given = Object.entries(query).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  const steps = [view, ...path].map(encodeURIComponent).join("/");
  return `#/${steps}${search === "" ? "" : `?${search}`}`;
}

/**
 * Return the view that an address names.
 *
 * @param {string} hash the location's hash
 * @returns {Place | null} null if there is no such view; the overview if the hash is empty, and the ring for `cluster`,
 *     which is its name in the menu
 */
export function parse(hash) {
  if (hash === "" || hash === "#" || hash === "#/") return { view: "overview", parameters: {} };
  const [path = "", search = ""] = hash.replace(/^#\//, "").split("?", 2);
  const steps = decodeSteps(path);
  const named = steps?.[0] ?? "";
  const view = named === "cluster" ? "ring" : named;
  const names = Object.hasOwn(PATHS, view) ? PATHS[view] : undefined;
  if (steps === null || names === undefined || steps.length !== names.length + 1) return null;
  /** @type {Parameters} */
  const parameters = Object.fromEntries(new URLSearchParams(search));
  names.forEach((name, index) => {
    parameters[name] = steps[index + 1] ?? "";
  });
  return { view, parameters };
}

/**
 * @param {string} path
 * @returns {string[] | null} null if a step is not well encoded
 */
function decodeSteps(path) {
  try {
    return path
      .split("/")
      .filter((step) => step !== "")
      .map(decodeURIComponent);
  } catch (error) {
    if (error instanceof URIError) return null;
    throw error;
  }
}

/**
 * Go to another view, or with `isSilent` only change the address that a reload shows.
 *
 * @param {string} address as of `href`
 * @param {{isSilent?: boolean}} [options]
 */
export function go(address, { isSilent = false } = {}) {
  if (isSilent) history.replaceState(null, "", address);
  else location.hash = address;
}
