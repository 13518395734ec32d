/**
 * Stops the running workers of a process on SIGTERM and SIGINT: the first signal gracefully, a second one at once.
 */

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** The run of a worker, which signals stop. */
export interface Stoppable {
  /** End gracefully. */
  stop(signal: NodeJS.Signals): void;
  /** End at once. */
  abort(signal: NodeJS.Signals): void;
}

/**
 * Stop a worker on SIGTERM and SIGINT until the returned function is called. Other listeners of the process are called,
 * too.
 */
export function stopOnSignals(worker: Stoppable): () => void {
  let isFirst = true;
  const onSignal = (signal: NodeJS.Signals) => {
    if (isFirst) worker.stop(signal);
    else worker.abort(signal);
    isFirst = false;
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return () => {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
}
