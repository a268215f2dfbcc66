import { once } from 'node:events';
import { Finishes, openEngine, store } from './batches.ts';

/*
 * A process that stores batches of finishes for some seconds, as one of several instances. Prints a line
 * when it is ready, begins when it reads one, and prints how many it has stored.
 */
const [url = '', prefix = '', ms = '', batch = '', ...hostIds] = process.argv.slice(2);
const engine = openEngine(url);
const finishes = new Finishes(hostIds, prefix);
store(engine, finishes.next(Number(batch))); // compiles the code
console.log('ready');
await once(process.stdin, 'data');
const startedAt = performance.now();
let stored = 0;
while (performance.now() - startedAt < Number(ms)) {
  store(engine, finishes.next(Number(batch)));
  stored += Number(batch);
}
console.log(stored / ((performance.now() - startedAt) / 1_000));
engine.close();
process.stdin.destroy();
