/** A worker as a process of its own: signals, and a server that is killed and started again. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { IS_FULL, newType, open, OwnServer, SHARED_URL, until } from "./support.js";

/** The jobs that a worker does while its server is killed. */
const JOBS = IS_FULL ? 20_000 : 1_000;

/** A process that runs worker_program.ts. */
class Program {
  readonly lines: string[] = [];
  readonly #process: ChildProcess;
  readonly #exit: Promise<string>;

  constructor(url: string, type: string, ...words: string[]) {
    const path = fileURLToPath(new URL("worker_program.js", import.meta.url));
    this.#process = spawn(process.execPath, [path, url, type, ...words], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    const onData = (piece: Buffer) => {
      text += piece.toString();
      const complete = text.split("\n");
      text = complete.pop() ?? "";
      this.lines.push(...complete);
    };
    this.#process.stdout?.on("data", onData);
    this.#process.stderr?.on("data", onData);
    this.#exit = new Promise((resolve) => {
      this.#process.on("close", (code, signal) => resolve(signal ?? String(code)));
    });
    after(() => this.#process.kill("SIGKILL"));
  }

  async until(line: string): Promise<void> {
    await until(() => this.lines.includes(line));
  }

  send(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Wait for the end of the process, and return its exit code or its signal. */
  end(): Promise<string> {
    return this.#exit;
  }
}

const client = open();

async function enqueue(type: string, payload: string): Promise<void> {
  await client.enqueue({
    queue_type: type,
    queue_id: payload,
    job_id: payload,
    payload,
    interval: 0,
  });
}

async function stateOf(type: string, id: string): Promise<string | undefined> {
  return (await client.job(type, id, id))?.state;
}

test("SIGHUP lets handlers end, too, however often it comes", async () => {
  const type = newType();
  await enqueue(type, "slow");
  const program = new Program(SHARED_URL, type);
  await program.until("job slow");
  program.send("SIGHUP");
  await program.until("event worker_stopping SIGHUP");
  program.send("SIGHUP");
  assert.equal(await program.end(), "0", program.lines.join("\n"));
  assert.equal(await stateOf(type, "slow"), "finished");
});

test("SIGTERM lets handlers end and reports them, and then the process ends by itself", async () => {
  const type = newType();
  await enqueue(type, "slow");
  const program = new Program(SHARED_URL, type);
  await program.until("job slow");
  program.send("SIGTERM");
  await program.until("event worker_stopping SIGTERM");
  await enqueue(type, "later");
  assert.equal(await program.end(), "0", program.lines.join("\n"));
  assert.equal(await stateOf(type, "slow"), "finished");
  assert.equal(await stateOf(type, "later"), "queued");
  assert.equal(program.lines.at(-1), "ended");
});

test("a second signal aborts the jobs and releases them, and the process ends soon", async () => {
  const type = newType();
  await enqueue(type, "forever");
  const program = new Program(SHARED_URL, type);
  await program.until("job forever");
  program.send("SIGINT");
  await program.until("event worker_stopping SIGINT");
  const beganMs = performance.now();
  program.send("SIGTERM");
  assert.equal(await program.end(), "0", program.lines.join("\n"));
  assert.ok(performance.now() - beganMs < 8_000);
  assert.ok(program.lines.includes("event worker_aborting SIGTERM"));
  assert.equal(await stateOf(type, "forever"), "delayed");
});

test("a handler that blocks the event loop is told", async () => {
  const type = newType();
  await enqueue(type, "block");
  const program = new Program(SHARED_URL, type);
  await program.until("event loop_blocked");
  program.send("SIGTERM");
  assert.equal(await program.end(), "0", program.lines.join("\n"));
});

test("a worker goes on after its server was killed, and every job is done", async () => {
  const server = await OwnServer.start();
  const own = open({ url: server.url });
  const type = newType();
  const jobs = Array.from({ length: JOBS }, (_, n) => ({
    queue_type: type,
    queue_id: `q${n % 100}`,
    job_id: `j${n}`,
    payload: "count",
    interval: 0,
  }));
  const answers = await own.enqueueMany(jobs);
  assert.equal(
    answers.queued + answers.duplicates,
    JOBS,
    "a call that a busy machine made twice has duplicates",
  );
  const program = new Program(server.url, type);
  await until(() => program.lines.filter((line) => line === "job count").length > JOBS / 10);
  await server.kill();
  await server.start();
  const isEmpty = async () => {
    for await (const row of own.control.types())
      if (row.queue_type === type) return row.queued + row.leased + row.delayed === 0;
    return true;
  };
  await until(isEmpty, 90_000);
  program.send("SIGTERM");
  assert.equal(await program.end(), "0");
  const done = program.lines.filter((line) => line === "job count").length;
  assert.ok(done >= JOBS, `${done} of ${JOBS}`);
  assert.ok(program.lines.some((line) => /^event (dequeue_failed|outcomes_not_reported)/.test(line)));
});
