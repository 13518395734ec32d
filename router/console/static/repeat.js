// Repeats the calls of a view while it is shown.

/**
 * Run a task now and again and again, each time a while after the run before has ended. A tab that nobody sees waits.
 *
 * @param {() => Promise<void>} task
 * @param {{everyMs: number, signal: AbortSignal, onError: (error: unknown) => void}} options `signal` ends it;
 *     `onError` gets what a run threw, and the next run comes all the same
 * @returns {{again: () => void}} `again` asks for a run at once, such as after a change
 */
export function repeat(task, { everyMs, signal, onError }) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let isRunning = false;
  let isWanted = false;

  async function run() {
    clearTimeout(timer);
    if (signal.aborted) return;
    if (isRunning) {
      isWanted = true;
      return;
    }
    if (document.hidden) {
      timer = setTimeout(run, everyMs);
      return;
    }
    isRunning = true;
    isWanted = false;
    try {
      await task();
    } catch (error) {
      if (signal.aborted) return;
      onError(error);
    } finally {
      isRunning = false;
    }
    timer = setTimeout(run, isWanted ? 0 : everyMs);
  }

  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  void run();
  return { again: () => void run() };
}
