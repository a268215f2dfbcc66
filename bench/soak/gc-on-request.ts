import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

/*
 * Loaded into the server by `--import`, in each of its threads: SIGUSR2 has all of them collect their garbage.
 *
 * The function is taken from V8 here, and not by `--expose-gc`: workers need it too, and Node does not let a worker
 * be started with flags of V8.
 */
setFlagsFromString('--expose-gc');
/*
 * A young generation grows in steps, for minutes, up to a limit, which looks like a leak in a short soak. Here its
 * first step takes it there.
 */
setFlagsFromString('--semi-space-growth-factor=32');
const collect: () => void = runInNewContext('gc');

// Node delivers signals to the main thread only.
const threads = new BroadcastChannel('gc-on-request');
if (isMainThread) {
  process.on('SIGUSR2', () => {
    threads.postMessage('collect');
    collectTwice();
  });
} else {
  threads.onmessage = collectTwice;
}
// After `onmessage`, which would otherwise keep the thread from ending.
threads.unref();

/** What a finalizer lets go is only collected by the next turn. */
function collectTwice(): void {
  collect();
  collect();
}
