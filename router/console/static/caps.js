// Names the caps of gathered types, as the server's metrics name them.

/**
 * Tell if a cap is a rate, which is meant to be used in full, and not a quota or a number of leases.
 *
 * @param {string} name
 * @returns {boolean}
 */
export function isRate(name) {
  return /^[\d.]+\/\w+( cost)?$/.test(name);
}

/**
 * Return a cap's name in words.
 *
 * @param {string} name such as `40/s`, `max_leased` or `2000 per day Asia/Tokyo`
 * @returns {string}
 */
export function capName(name) {
  if (name === "max_leased") return "leases at a time";
  return name.replace(
    /^(\d+) per (day|hour) (\S+)/,
    (_, quota, period, zone) => `${group(quota)} a ${period} (${zone})`,
  );
}

/** @param {string} number */
function group(number) {
  return number.replace(/\B(?=(\d{3})+$)/g, ",");
}
