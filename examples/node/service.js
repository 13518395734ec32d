// The web service: it takes mails, leaves them to the worker, and says what has become of them.
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { Client, InvalidRequest, QueueFull, SharqError } from "sharq-client";

const MAILS_PER_S = 5;
const sharq = new Client(); // one for the process; SHARQ_URL names the server

async function takeMail(customer, mail) {
  const { job_id } = await sharq.enqueue({
    queue_type: "mails",
    queue_id: customer, // each customer has a queue, whose rate is its own
    payload: mail,
    rate: `${MAILS_PER_S}/s`,
    burst: 1.1,
    max_queued_length: 100,
  });
  return [202, { mail: `/customers/${customer}/mails/${job_id}` }];
}

async function showMail(customer, jobId, waitS) {
  const job = await sharq.jobs.wait("mails", customer, jobId, { timeoutMs: waitS * 1000 });
  if (job === null) return [404, { error: "no such mail, or it was sent long ago" }];
  return [200, { state: job.state, attempts: job.attempt, error: job.error, result: job.result }];
}

async function answerTo(request) {
  const url = new URL(request.url, "http://service");
  const [, customers, customer, mails, jobId] = url.pathname.split("/").map(decodeURIComponent);
  if (customers !== "customers" || mails !== "mails") return [404, { error: "no such page" }];
  if (request.method === "POST") return takeMail(customer, JSON.parse(await text(request)));
  return showMail(customer, jobId, Math.min(Number(url.searchParams.get("wait") ?? 0), 60));
}

function refusal(error) {
  if (error instanceof QueueFull) {
    const seconds = Math.ceil(error.queueLength / MAILS_PER_S); // about when all that wait are sent
    return [429, { error: "this customer has too many mails waiting" }, { "Retry-After": seconds }];
  }
  if (error instanceof InvalidRequest || error instanceof SyntaxError) return [400, { error: error.message }];
  if (error instanceof SharqError) return [503, { error: error.message }];
  console.error(error);
  return [500, { error: "the service has a fault" }];
}

const server = createServer(async (request, response) => {
  const [status, body, headers = {}] = await answerTo(request).catch(refusal);
  response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
});

process.once("SIGTERM", () => {
  server.close(() => sharq.close());
  server.closeIdleConnections();
});
server.listen(Number(process.env.PORT ?? 8000), "127.0.0.1");
