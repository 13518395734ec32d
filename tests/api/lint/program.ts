// A program that a user may write with the types from the OpenAPI document. It is compiled strictly, and run against a
// live server: node program.js URL
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";

declare const process: { argv: string[] };
type Schemas = components["schemas"];

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "http://127.0.0.1:8080" });
const path = { queue_type: "typed", queue_id: "acme" };

// Only the payload is required in a job.
const job: Schemas["EnqueueBody"] = { payload: { to: "+15550100" } };
// @ts-expect-error: it is required.
const empty: Schemas["EnqueueBody"] = {};
// @ts-expect-error: unknown fields are refused.
const unknown: Schemas["EnqueueBody"] = { payload: 1, prioritty: 1 };
// Null clears a setting of a queue.
const cleared: Schemas["SettingsBody"] = { max_leased: null, retry: null };

function shown(code: Schemas["FailureCode"]): string {
  switch (code) {
    case "queue_full":
      return "full";
    case "invalid_request":
      return "wrong";
    // @ts-expect-error: no failure has this code.
    case "no_such_code":
      return "unknown";
    default:
      return code;
  }
}

async function enqueue(): Promise<void> {
  const refused = await client.POST("/enqueue/{queue_type}/{queue_id}/", { params: { path }, body: job });
  if (refused.error) console.log("enqueue", shown(refused.error.code));
  const { data } = await client.POST("/enqueue/{queue_type}/{queue_id}/", {
    params: { path },
    body: { ...job, job_id: "a", rate: "1000/s", requeue_limit: 5 },
  });
  console.log("enqueue", data?.status);
}

async function enqueueBulk(): Promise<void> {
  const jobs: Schemas["EnqueueEntry"][] = ["b", "c"].map((job_id) => ({ ...path, job_id, payload: null }));
  const { data } = await client.POST("/enqueue/", { body: { jobs: [...jobs, { ...path, payload: 1, burst: 0 }] } });
  for (const result of data?.results ?? []) {
    // The status tells which of the two shapes a result has.
    if (result.status === "queued") console.log("bulk", result.job_id);
    else console.log("bulk", shown(result.code), result.message);
  }
}

async function dequeueOne(): Promise<Schemas["SingleDequeueAnswer"] | undefined> {
  const { data } = await client.POST("/dequeue/{queue_type}/", {
    params: { path: { queue_type: "typed" }, query: { wait: 5000 } },
  });
  return data && !("jobs" in data) ? data : undefined;
}

async function dequeueBulk(): Promise<Schemas["DequeuedJob"][]> {
  const { data, error } = await client.POST("/dequeue/", {
    params: { query: { type: ["typed", "other"], count: 10, wait: 5000 } },
  });
  // An empty answer has no code, and says why there is no job.
  if (error) console.log("dequeue", "code" in error ? shown(error.code) : error.blocked_by);
  return data && "jobs" in data ? data.jobs : [];
}

async function finish(jobs: Schemas["DequeuedJob"][]): Promise<number> {
  const entries: Schemas["FinishEntry"][] = jobs.map(({ job_id, lease }) => ({ ...path, job_id, lease }));
  const { data } = await client.POST("/finish/", { body: { jobs: entries } });
  return data ? data.results.length - data.failed : 0;
}

await enqueue();
await enqueueBulk();
const first = await dequeueOne();
if (first) {
  const params = { path: { ...path, job_id: first.job_id } };
  const { data } = await client.POST("/finish/{queue_type}/{queue_id}/{job_id}/", {
    params,
    body: { lease: first.lease, result: { sent: true } },
  });
  console.log("finish", first.job_id, first.attempt + 1, first.expires_at ?? "never", data?.status, data?.result_kept);
}
let finished = 0;
while (finished < 2) finished += await finish(await dequeueBulk());
console.log("finish", finished);
const { error } = await client.GET("/job/{queue_type}/{queue_id}/{job_id}/", {
  params: { path: { ...path, job_id: "none" } },
});
console.log("job", error?.code);
void [empty, unknown, cleared];
