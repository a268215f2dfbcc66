import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread } from 'node:worker_threads';

/*
 * Loaded into the server by `--import`, in each of its threads. SIGUSR2 makes all threads collect
 * their garbage.
 *
 * V8's `gc` function is enabled here and not by `--expose-gc`, because workers need it too and Node
 * does not allow V8 flags for workers.
 */
setFlagsFromString('--expose-gc');
/*
 * A young generation grows in steps over minutes up to a limit, which looks like a leak in a short
 * soak. This setting makes it reach the limit in its first step.
 */
setFlagsFromString('--semi-space-growth-factor=32');
const collect: () => void = runInNewContext('gc');

// Node delivers signals only to the main thread.
const threads = new BroadcastChannel('gc-on-request');
if (isMainThread) {
  process.on('SIGUSR2', () => {
    threads.postMessage('collect');
    collectTwice();
  });
} else {
  threads.onmessage = collectTwice;
}
// Must come after `onmessage`, which would otherwise keep the thread alive.
threads.unref();

/** Collects twice, because memory that a finalizer releases is freed only by the next collection. */
function collectTwice(): void {
  collect();
  collect();
}
