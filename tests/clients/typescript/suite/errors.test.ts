/** Failures of the server, of the network and of the settings become the errors that say if the work was done. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as tls from "node:tls";
import {
  BatchCancelled,
  Client,
  IncompleteList,
  InvalidRequest,
  NotFound,
  OutcomeUnknown,
  QueueFull,
  SharqError,
  TooLarge,
  Unauthorized,
  Unavailable,
  UntrustedCertificate,
  WrongUrl,
} from "sharq-client";
import { freePort, listen, newType, open, OwnServer, SHARED_URL, Wire } from "./support.js";

const client = open();
const directory = mkdtempSync(join(tmpdir(), "sharq-ts-"));
after(() => rmSync(directory, { recursive: true }));

/** Return a job of a new type. */
function newJob() {
  return {
    queue_type: newType(),
    queue_id: "q",
    job_id: "j",
    payload: 1,
    interval: 0,
  };
}

test("the server's refusals have their codes and say that nothing was done", async () => {
  const job = newJob();
  await client.enqueue(job);
  await assert.rejects(client.enqueue({ ...job, job_id: "k", max_queued_length: 1 }), (error) => {
    assert.ok(error instanceof QueueFull);
    assert.deepEqual(
      [error.name, error.code, error.status, error.perhapsDone, error.retryAfterMs, error.queueLength],
      ["QueueFull", "queue_full", 429, false, null, 1],
    );
    return true;
  });
  await assert.rejects(client.enqueue({ ...job, priority: 0 }), (error) => {
    assert.ok(error instanceof InvalidRequest && error instanceof SharqError && error instanceof Error);
    assert.match(error.message, /^priority: /);
    return true;
  });
  await assert.rejects(client.enqueue({ ...job, payload: "x".repeat(300_000) }), TooLarge);
  await assert.rejects(client.extend({ ...job, job_id: "nothing", lease: "none" }, 1_000), NotFound);
  await client.enqueue({ ...job, job_id: "b", batch: "b" });
  await client.jobs.cancelBatch(job.queue_type, "b");
  await assert.rejects(client.enqueue({ ...job, job_id: "c", batch: "b" }), BatchCancelled);
});

test("an empty job_id is refused and not replaced", async () => {
  const job = { ...newJob(), job_id: "" };
  await assert.rejects(client.enqueue(job), (error) => {
    assert.ok(error instanceof InvalidRequest);
    assert.match(error.message, /^job_id: expected a string/);
    return true;
  });
  const { answers } = await client.enqueueMany([{ ...job, job_id: "a" }, job]);
  assert.ok(answers[1] instanceof InvalidRequest);
  assert.equal((await client.queue(job.queue_type, "q"))?.queued, 1);
});

test("a hold without a time is refused, and does not pause the queue for ever", async () => {
  const job = newJob();
  await client.enqueue(job);
  const ends = [{}, { forMs: undefined }, { untilMs: null }, { forMs: 1_000, untilMs: 1_000 }];
  for (const end of ends as { forMs: number }[]) {
    await assert.rejects(client.control.hold(job.queue_type, "q", end), (error) => {
      assert.ok(error instanceof RangeError);
      assert.equal(error.message, "forMs, untilMs: expected one of the two");
      return true;
    });
  }
  assert.equal((await client.queue(job.queue_type, "q"))?.paused, false);
});

test("a dequeue without a type is refused", async () => {
  for (const types of [null, []] as unknown as string[][]) {
    await assert.rejects(client.dequeue(types), (error) => {
      assert.ok(error instanceof InvalidRequest);
      assert.match(error.message, /^queueTypes: expected a type, or 1 to 16 types/);
      return true;
    });
  }
});

test("a list that is not as long as that of the jobs is named", async () => {
  const jobs = [newJob()];
  const calls: [string, () => Promise<unknown>][] = [
    ["results", () => client.finishMany(jobs, { results: [1, 2] })],
    ["costs", () => client.finishMany(jobs, { costs: [] })],
    ["progress", () => client.extendMany(jobs, 1_000, { progress: [1, 2] })],
    ["error", () => client.releaseMany(jobs, { error: ["a", "b"] })],
  ];
  for (const [name, call] of calls) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof RangeError);
      assert.match(
        error.message,
        new RegExp(`^${name}: expected one for each of the jobs \\(1\\), got [02]$`),
      );
      return true;
    });
  }
});

test("a bulk call names each failed job's field without its place in the call", async () => {
  const job = newJob();
  const { answers, failed } = await client.enqueueMany([job, { ...job, job_id: "bad", priority: 77 }]);
  assert.equal(failed, 1);
  assert.ok(answers[1] instanceof InvalidRequest);
  assert.match(answers[1].message, /^priority: /);
});

test("a port without a server is unavailable, and nothing was done", async () => {
  const nowhere = open({
    url: `http://127.0.0.1:${await freePort()}`,
    retries: 0,
  });
  await assert.rejects(nowhere.enqueue(newJob()), (error) => {
    assert.ok(error instanceof Unavailable);
    assert.equal(error.perhapsDone, false);
    assert.match(error.message, /is the server running\? \(connection refused\)$/);
    assert.equal((error.cause as NodeJS.ErrnoException).code, "ECONNREFUSED");
    return true;
  });
  assert.equal(await nowhere.readyz(), false);
});

test("a token is asked for, and sent", async () => {
  const file = join(directory, "tokens");
  const made = execFileSync(process.env["TEST_PYTHON"] as string, [
    "-m",
    "sharq_server.main",
    "--new-token",
    "ts",
  ]);
  const [token, line] = tokenIn(made.toString());
  writeFileSync(file, `${line}\n`, { mode: 0o600 });
  const guarded = await OwnServer.start({ SHARQ_AUTH_TOKENS_FILE: file });
  await assert.rejects(open({ url: guarded.url }).enqueue(newJob()), (error) => {
    assert.ok(error instanceof Unauthorized);
    assert.match(error.message, /pass token, or set the variable SHARQ_TOKEN/);
    return true;
  });
  assert.equal((await open({ url: guarded.url, token }).enqueue(newJob())).job_id, "j");
  process.env["SHARQ_TOKEN"] = token;
  process.env["SHARQ_URL"] = `http://127.0.0.1:${await freePort()} ${guarded.url}`;
  try {
    const named = new Client({ retries: 0 });
    assert.equal((await named.enqueue(newJob())).job_id, "j");
    named.close();
  } finally {
    delete process.env["SHARQ_TOKEN"];
    delete process.env["SHARQ_URL"];
  }
});

/** Return the token and the line for the tokens file, from what `--new-token` prints. */
function tokenIn(text: string): [string, string] {
  const [, token, , line] = text.split("\n").map((each) => each.trim());
  return [token ?? "", line ?? ""];
}

test("a web page, another API and a redirection are wrong URLs", async () => {
  const answers: Record<string, (response: http.ServerResponse) => void> = {
    page: (response) => response.end("<html>Welcome</html>"),
    missing: (response) => response.writeHead(404).end("not here"),
    moved: (response) => response.writeHead(301, { location: SHARED_URL }).end(),
  };
  const other = http.createServer((request, response) => {
    request.resume();
    answers[request.url?.split("/")[1] ?? ""]?.(response);
  });
  const port = await listen(other);
  after(() => other.close());
  for (const name of Object.keys(answers)) {
    const lost = open({ url: `http://127.0.0.1:${port}/${name}`, retries: 0 });
    await assert.rejects(lost.enqueue(newJob()), (error) => {
      assert.ok(error instanceof WrongUrl, String(error));
      assert.equal(error.perhapsDone, false);
      return true;
    });
  }
  await assert.rejects(open({ url: `${SHARED_URL}/prefix` }).enqueue(newJob()), WrongUrl);
});

test("an answer whose head cannot be read was perhaps done", async () => {
  const content = '{"status":"queued","job_id":"j"}';
  const answers: Record<string, string> = {
    long: `HTTP/1.1 201 Created\r\nX-Long: ${"y".repeat(70_000)}\r\n`,
    broken: "HTTP/1.1 201 Created\r\nno header\r\n",
    proxied: `HTTP/1.1 201 Created\r\nX-Long: ${"y".repeat(60_000)}\r\n`,
  };
  const other = net.createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", (data) => {
      const name = data.toString().split("/")[1] ?? "";
      socket.end(`${answers[name]}Content-Length: ${content.length}\r\n\r\n${content}`);
    });
  });
  const port = await listen(other);
  after(() => other.close());
  const url = `http://127.0.0.1:${port}`;
  for (const name of ["long", "broken"]) {
    await assert.rejects(open({ url: `${url}/${name}`, retries: 0 }).enqueue(newJob()), (error) => {
      assert.ok(error instanceof OutcomeUnknown, String(error));
      assert.match(error.message, /answered, but the answer is not valid HTTP/);
      return true;
    });
  }
  assert.equal((await open({ url: `${url}/proxied` }).enqueue(newJob())).job_id, "j");
});

test("a header that is too long for the server is refused without a word of it", async () => {
  const wordy = open({ url: SHARED_URL, token: "s3cret".repeat(2_000), retries: 0 });
  await assert.rejects(wordy.enqueue(newJob()), (error) => {
    assert.ok(error instanceof InvalidRequest, String(error));
    assert.equal(error.message, "request: the request line or a header is longer than 8190 bytes");
    return true;
  });
});

test("a server behind TLS: the authority of its certificate is trusted by ca alone", async () => {
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  execFileSync("openssl", ["req", ...kind, ...subject, "-keyout", key, "-out", cert], { stdio: "pipe" });
  const { port } = await Wire.open(SHARED_URL, (onSocket) =>
    tls.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, onSocket),
  );
  const url = `https://localhost:${port}`;
  await assert.rejects(open({ url }).enqueue(newJob()), (error) => {
    assert.ok(error instanceof UntrustedCertificate);
    assert.match(error.message, /not trusted: pass its file as ca/);
    return true;
  });
  for (const ca of [cert, readFileSync(cert), readFileSync(cert, "utf8")]) {
    assert.equal((await open({ url, ca }).enqueue(newJob())).job_id, "j");
  }
  await assert.rejects(open({ url: `https://127.0.0.1:${port}`, ca: cert }).enqueue(newJob()), (error) => {
    assert.ok(error instanceof UntrustedCertificate);
    assert.match(error.message, /for another host/);
    return true;
  });
  await assert.rejects(open({ url: `http://localhost:${port}` }).enqueue(newJob()), (error) => {
    assert.ok(error instanceof WrongUrl, String(error));
    assert.match(error.message, /write https:\/\/ instead of http:\/\//);
    return true;
  });
  const plain = SHARED_URL.replace("http:", "https:");
  await assert.rejects(open({ url: plain }).enqueue(newJob()), (error) => {
    assert.ok(error instanceof WrongUrl, String(error));
    assert.match(error.message, /does not speak TLS/);
    return true;
  });
});

test("a request whose answer does not come was perhaps done", async () => {
  const { wire, port } = await Wire.open(SHARED_URL);
  const cut = open({ url: `http://127.0.0.1:${port}`, retries: 0 });
  const job = newJob();
  wire.passesAnswer = () => {
    wire.cut();
    return false;
  };
  await assert.rejects(cut.enqueue(job), (error) => {
    assert.ok(error instanceof OutcomeUnknown);
    assert.equal(error.perhapsDone, true);
    return true;
  });
  assert.ok(await client.job(job.queue_type, "q", "j"));
  wire.passesAnswer = () => false;
  const late = open({
    url: `http://127.0.0.1:${port}`,
    retries: 0,
    timeoutMs: 100,
  });
  await assert.rejects(late.enqueue(job), /OutcomeUnknown: .*timeout after 100 ms/);
});

test("a list without some partitions yields what it has, and then says so", async () => {
  const pages = [
    { queues: [{ queue_id: "a" }], cursor: "4-0", unread_partitions: [3] },
    { queues: [{ queue_id: "b" }], cursor: "5-0" },
    { queues: [], cursor: null, unread_partitions: [11, 3] },
  ];
  // A server whose partitions are broken: tests/api/bounds/test_broken_partition.py has a real one, with the client for
  // Python.
  const server = http.createServer((_, answer) => answer.end(JSON.stringify(pages.shift())));
  const port = await listen(server);
  after(() => server.close());
  const found: string[] = [];
  await assert.rejects(
    async () => {
      for await (const row of open({ url: `http://127.0.0.1:${port}` }).control.queues("sms")) {
        found.push(row.queue_id);
      }
    },
    (error) => {
      assert.ok(error instanceof IncompleteList);
      assert.deepEqual(error.partitions, [3, 11]);
      assert.match(error.message, /without partition 3, 11/);
      return true;
    },
  );
  assert.deepEqual(found, ["a", "b"]);
});

test("settings that cannot work are refused at once", () => {
  for (const url of [
    "127.0.0.1:8080",
    "ftp://host",
    "http://host?x=1",
    [],
    "http://host:0",
    "http://host:99999",
  ]) {
    assert.throws(() => new Client({ url }), /^TypeError: url: expected/);
  }
  for (const url of [
    "http://user@host",
    "http://shop:hunter2@host",
    "http://:hunter2@host",
    "shop:hunter2@host",
  ]) {
    assert.throws(
      () => new Client({ url: ["http://other", url] }),
      (error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /^url: expected no user and no password in it/);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      },
    );
  }
  assert.throws(
    () => new Client({ token: "secret\n" }),
    (error) => {
      assert.ok(error instanceof TypeError);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
  for (const timeoutMs of [0, NaN, Infinity, 86_400_001]) {
    assert.throws(() => new Client({ timeoutMs }), /^RangeError: timeoutMs: /);
  }
  assert.throws(() => new Client({ retries: -1 }), /^RangeError: retries: /);
  assert.throws(() => new Client({ ca: "/nothing/there.pem" }), /ENOENT/);
  assert.throws(() => new Client({ ca: Buffer.from("no certificate") }), /ca: no certificate in PEM/);
});
