import { setTimeout as sleep } from 'node:timers/promises';

const LIMIT_MS = 10_000;

/**
 * Waits for a promise that may never settle. A test that waited longer would fail without a message.
 * @param what what has not happened then
 */
export async function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  const tooLate = sleep(LIMIT_MS, undefined, { ref: false }).then(() => {
    throw new Error(`after ${LIMIT_MS} ms: ${what}`);
  });
  return Promise.race([promise, tooLate]);
}
