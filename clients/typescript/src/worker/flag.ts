/** Lets tasks of the event loop wait for each other. */

/** A flag that tasks wait for. */
export class Flag {
  #isSet = false;
  #waiters: (() => void)[] = [];

  /** Raise the flag, and let all go on that wait for it. */
  set(): void {
    this.#isSet = true;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** Lower the flag. */
  clear(): void {
    this.#isSet = false;
  }

  /** Return once the flag is up. */
  wait(): Promise<void> {
    return this.#isSet ? Promise.resolve() : new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Return once the flag is up, or after the time. */
  waitFor(ms: number): Promise<void> {
    if (this.#isSet) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((each) => each !== wake);
        resolve();
      }, ms);
      this.#waiters.push(wake);
    });
  }
}

/** Return after others had two turns of the event loop, so that what happens at the same moment is handled together. */
export async function passTurns(): Promise<void> {
  await new Promise(setImmediate);
  await new Promise(setImmediate);
}
