/** Lets tests talk to the server that pytest runs, start servers of their own, and stand between a client and a server. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type ClientOptions } from "sharq-client";

/** True if nothing is to be left out: larger numbers. */
export const IS_FULL = !["", "0"].includes(process.env["FULL"] ?? "");

const START_DEADLINE_MS = 60_000;

/** Return a variable that pytest sets. */
function given(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests with pytest`);
  return value;
}

/** The URL of the server that all tests share. */
export const SHARED_URL = given("TEST_SERVER_URL");

/** Return a queue type that no other test has. */
export function newType(): string {
  return `ts-${randomUUID().slice(0, 13)}`;
}

/** Return a client of the shared server, unless the options name another; it is closed after the file's tests. */
export function open(options: ClientOptions = {}): Client {
  const client = new Client({ url: SHARED_URL, ...options });
  after(() => client.close());
  return client;
}

/** Wait until something is true. */
export async function until(isTrue: () => boolean | Promise<boolean>, deadlineMs = 20_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await isTrue())) {
    if (performance.now() > endMs) throw new Error(`not true after ${deadlineMs} ms: ${isTrue.toString()}`);
    await sleep(10);
  }
}

/** Return all that an async iterable yields. */
export async function all<ItemT>(items: AsyncIterable<ItemT>): Promise<ItemT[]> {
  const found: ItemT[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** A sharq-server of one test file, with an embedded store of its own, which may be killed and started again. */
export class OwnServer {
  readonly url: string;
  readonly #port: number;
  readonly #directory = mkdtempSync(join(tmpdir(), "sharq-ts-"));
  readonly #environ: Record<string, string>;
  #process: ChildProcess | null = null;

  private constructor(port: number, environ: Record<string, string>) {
    this.#port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.#environ = environ;
  }

  /** Start a server; it ends after the file's tests. */
  static async start(environ: Record<string, string> = {}): Promise<OwnServer> {
    const server = new OwnServer(await freePort(), environ);
    after(() => server.remove());
    await server.start();
    return server;
  }

  /** Start the server, again on the same port and data. */
  async start(): Promise<void> {
    const words = ["-m", "sharq_server.main", "--port", String(this.#port), "--data-dir", "data"];
    this.#process = spawn(given("TEST_PYTHON"), words, {
      cwd: this.#directory,
      env: { ...process.env, ...this.#environ },
      stdio: ["ignore", "ignore", "inherit"],
    });
    await until(() => this.isReady(), START_DEADLINE_MS);
  }

  async isReady(): Promise<boolean> {
    if (this.#process?.exitCode !== null) throw new Error("the server has ended");
    try {
      const answer = await fetch(`${this.url}/readyz`, {
        headers: { connection: "close" },
      });
      await answer.arrayBuffer();
      return answer.status === 200;
    } catch {
      return false; // nothing listens yet
    }
  }

  /** End the server without notice. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  /** End the server for good, with its data. */
  async remove(): Promise<void> {
    await this.#end("SIGTERM");
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const ended = this.#process;
    if (ended === null || ended.exitCode !== null || ended.signalCode !== null) return;
    const exit = new Promise((resolve) => ended.once("exit", resolve));
    ended.kill(signal);
    await exit;
  }
}

/** Return a port on which nothing listens. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Let a server listen on a free port of the loopback, and return the port. */
export async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as net.AddressInfo).port;
}

/** A path of bytes between a client and a server. It can be cut where a real network cuts it. */
export class Wire {
  /** Called with each piece that the server sends; false holds it back. */
  passesAnswer: (piece: Buffer) => boolean = () => true;
  /** The connections that were made. */
  connections = 0;
  readonly #pairs = new Set<net.Socket>();
  readonly #server: net.Server;

  private constructor(target: string, makeServer: (onSocket: (socket: net.Socket) => void) => net.Server) {
    const { hostname, port } = new URL(target);
    this.#server = makeServer((near) => {
      this.connections += 1;
      const far = net.connect(Number(port), hostname);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#pairs.add(socket);
        socket.on("error", () => other.destroy()); // a cut is what this is for
        socket.on("close", () => {
          this.#pairs.delete(socket);
          other.destroy();
        });
      }
      near.on("data", (piece: Buffer) => far.write(piece));
      far.on("data", (piece: Buffer) => {
        if (this.passesAnswer(piece)) near.write(piece);
      });
    });
  }

  /** Open a path to a server, and return it with its URL. `makeServer` may speak TLS on the near side. */
  static async open(
    target: string,
    makeServer: (onSocket: (socket: net.Socket) => void) => net.Server = (onSocket) =>
      net.createServer(onSocket),
  ): Promise<{ wire: Wire; port: number }> {
    const wire = new Wire(target, makeServer);
    const port = await listen(wire.#server);
    after(() => wire.close());
    return { wire, port };
  }

  /** Reset all connections. */
  cut(): void {
    for (const socket of this.#pairs) socket.resetAndDestroy();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#pairs) socket.destroy();
  }
}
