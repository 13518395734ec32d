/** Notices that something keeps the event loop, so that no other job runs and no lease is extended. */

/** The time between two looks. */
const LOOK_EVERY_MS = 250;

/** The time for which the loop may be kept. */
const MAX_BLOCKED_MS = 1_000;

/** Call `onBlocked` once if the event loop is kept for more than a second, until the returned function is called. */
export function watchLoop(onBlocked: (blockedMs: number) => void): () => void {
  let expectedMs = performance.now() + LOOK_EVERY_MS;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const blockedMs = nowMs - expectedMs;
    expectedMs = nowMs + LOOK_EVERY_MS;
    if (blockedMs <= MAX_BLOCKED_MS) return;
    clearInterval(timer);
    onBlocked(blockedMs);
  }, LOOK_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}
