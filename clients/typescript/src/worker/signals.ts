/**
 * Stops the workers of a process on SIGTERM, SIGINT and SIGHUP: the first signal gracefully, a second one at once.
 *
 * SIGHUP says that the terminal is gone, or that a supervisor wants the program started anew. It never ends a worker at
 * once: a terminal that is closed sends it twice, once from the kernel and once from the shell.
 */

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** The run of a worker, which signals stop. */
export interface Stoppable {
  /** End gracefully. */
  stop(signal: NodeJS.Signals): void;
  /** End at once. */
  abort(signal: NodeJS.Signals): void;
}

/**
 * Stop a worker on SIGTERM, SIGINT and SIGHUP until the returned function is called. Other listeners of the process are called,
 * too.
 */
export function stopOnSignals(worker: Stoppable): () => void {
  let isFirst = true;
  const onSignal = (signal: NodeJS.Signals) => {
    if (isFirst) worker.stop(signal);
    else if (signal !== "SIGHUP") worker.abort(signal);
    isFirst = false;
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return () => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
}
