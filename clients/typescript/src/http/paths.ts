/** Builds the paths and the queries of requests. */
import { InvalidRequest } from "../errors.js";

const JOB = ["queueType", "queueId", "jobId"] as const;

/** The names of the identifiers in the paths that are not about a type, a queue or a job. */
const NAMES: Partial<Record<string, readonly string[]>> = {
  batch: ["queueType", "batch"],
  schedule: ["name"],
  window: ["name"],
  cap: ["name"],
};

/** The parameters of a request. Those that are null or undefined are left out, and a list is sent item by item. */
export type Query = Readonly<
  Record<string, string | number | boolean | readonly string[] | null | undefined>
>;

/**
 * Return the path of a verb and its identifiers, `/verb/<first>/<second>/`, each percent-encoded.
 *
 * @throws InvalidRequest: an identifier is no string, or it is empty, `.` or `..`, which proxies normalize away.
 *   Nothing was sent.
 */
export function pathOf(verb: string, ...identifiers: readonly string[]): string {
  const names = NAMES[verb] ?? JOB;
  const parts = identifiers.map((identifier, index) => {
    if (typeof identifier !== "string" || identifier === "" || identifier === "." || identifier === "..") {
      const got = typeof identifier === "string" ? JSON.stringify(identifier) : String(identifier);
      throw new InvalidRequest(
        `${names[index] ?? "id"}: expected a string of 1 to 100 characters other than "." and "..", got ${got}`,
      );
    }
    return encodeURIComponent(identifier);
  });
  return ["", verb, ...parts, ""].join("/");
}

/** Return a path with its query. */
export function targetOf(path: string, query: Query | undefined): string {
  const present = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === null || value === undefined) continue;
    for (const item of Array.isArray(value) ? value : [value]) present.append(name, String(item));
  }
  const text = present.toString();
  return text ? `${path}?${text}` : path;
}
