import { type Random, seededRandom } from '../support/random.ts';
import { quantile } from '../support/samples.ts';
import { type Constants, costOf } from './constants.ts';

/** What the simulation assumes, because it cannot be measured here. */
export interface Assumptions {
  readonly coresOfDatabase: number;
  /** Messages of a host that are written to the database, per day. */
  readonly writesPerHostAndDay: number;
  /** The part of a day's messages that arrives in the busiest hour. */
  readonly busiestHour: number;
  /** An agent whose instance restarts connects to another one after a random part of this time. */
  readonly reconnectSeconds: number;
}

export interface Fleet {
  readonly hosts: number;
  readonly instances: number;
}

/** What happened in the simulated time, in the busiest hour. */
export interface Course {
  readonly writesPerSecond: number;
  readonly commitsPerSecond: number;
  readonly mbPerSecond: number;
  /** Cores of the database server that were busy, as a mean. */
  readonly busyCores: number;
  /** The part of the time in which the store thread of an instance was busy. */
  readonly busyStore: number;
  /** How long agents waited for an acknowledgement. */
  readonly p99Ms: number;
  /** When everything was stored that arrived until the last agent had connected again. */
  readonly allStoredAfterSeconds: number;
}

const BATCH_FULL_AT = 1_000;
const POLLS_PER_SECOND = 4;
const STEP_MS = 1;
const SECOND = 1_000;

/** The store thread of an instance: it does one thing at a time, a batch or a poll. */
class Instance {
  /** When each waiting write arrived, in ms. */
  readonly waiting: number[] = [];
  readonly waits: number[] = [];
  /** The writes of the batch that is running. */
  batch: readonly number[] = [];
  leftMs = 0;
  cpuShare = 0;
  pollAt: number;
  /** Writes of the other instances since the last poll. */
  unread = 0;
  busyMs = 0;

  constructor(pollAt: number) {
    this.pollAt = pollAt;
  }
}

/**
 * Simulates the store threads of all instances in steps of a millisecond. A batch takes the waiting
 * writes, and takes as long as a batch of that size took when it was measured. If the batches together
 * need more cores than the database has, all of them take longer.
 * @param restart whether one instance ends at the start, so that its agents connect to the others
 */
export function simulate(
  { hosts, instances: count }: Fleet,
  { coresOfDatabase, writesPerHostAndDay, busiestHour, reconnectSeconds }: Assumptions,
  constants: Constants,
  { seconds, restart }: { readonly seconds: number; readonly restart: boolean },
): Course {
  const random = seededRandom(hosts + count);
  const perSecond = (hosts * writesPerHostAndDay * busiestHour) / 3_600;
  const hellos = restart ? Math.round(hosts / count) : 0;
  const instances = Array.from(
    { length: restart ? count - 1 : count },
    () => new Instance((random() * SECOND) / POLLS_PER_SECOND),
  );
  let [commits, kib, cpuMs, writes, greeted, allStoredAt] = [0, 0, 0, 0, 0, 0];
  let ms = 0;
  for (; ms < seconds * SECOND || greeted < hellos; ms += STEP_MS) {
    const due = restart ? Math.min(hellos, (hellos * ms) / (reconnectSeconds * SECOND)) : 0;
    const arriving = poisson(random, (perSecond * STEP_MS) / SECOND) + Math.floor(due) - greeted;
    greeted = Math.floor(due);
    for (let n = 0; n < arriving; n++) {
      instances[Math.floor(random() * instances.length)]?.waiting.push(ms);
    }
    writes += arriving;
    const wanted = instances.reduce(
      (sum, { leftMs, cpuShare }) => sum + (leftMs > 0 ? cpuShare : 0),
      0,
    );
    const speed = Math.min(1, coresOfDatabase / Math.max(wanted, 1e-9));
    cpuMs += Math.min(wanted, coresOfDatabase) * STEP_MS;
    for (const instance of instances) {
      if (instance.leftMs > 0) {
        instance.busyMs += STEP_MS;
        instance.leftMs -= STEP_MS * speed;
        if (instance.leftMs > 0) continue;
        for (const arrivedAt of instance.batch) {
          instance.waits.push(ms - arrivedAt);
          if (arrivedAt <= reconnectSeconds * SECOND) allStoredAt = ms;
        }
        for (const other of instances)
          if (other !== instance) other.unread += instance.batch.length;
        instance.batch = [];
      }
      const cost = begin(instance, ms, constants);
      if (cost === undefined) continue;
      instance.leftMs = cost.ms;
      instance.cpuShare = cost.ms > 0 ? cost.cpuMs / cost.ms : 0;
      kib += cost.kib;
      if (instance.batch.length > 0) commits++;
    }
  }
  const waits = Float64Array.from(instances.flatMap((instance) => instance.waits)).sort();
  const simulated = ms / SECOND;
  return {
    writesPerSecond: writes / simulated,
    commitsPerSecond: commits / simulated,
    mbPerSecond: (kib * 1_024) / 1e6 / simulated,
    busyCores: cpuMs / ms,
    busyStore: Math.max(...instances.map(({ busyMs }) => busyMs)) / ms,
    p99Ms: quantile(waits, 0.99),
    allStoredAfterSeconds: allStoredAt / SECOND,
  };
}

/** What the store thread does next: a batch, or a poll that is due. */
function begin(instance: Instance, ms: number, { batch, poll }: Constants) {
  if (ms >= instance.pollAt) {
    instance.pollAt = ms + SECOND / POLLS_PER_SECOND;
    const changed = instance.unread;
    instance.unread = 0;
    return costOf(poll, changed);
  }
  if (instance.waiting.length === 0) return undefined;
  instance.batch = instance.waiting.splice(0, BATCH_FULL_AT);
  return costOf(batch, instance.batch.length);
}

/** How many events happen in a step in which `mean` are expected. */
function poisson(random: Random, mean: number): number {
  const limit = Math.exp(-mean);
  let events = 0;
  for (let product = random(); product > limit; product *= random()) events++;
  return events;
}
