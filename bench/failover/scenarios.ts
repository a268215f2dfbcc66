import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, Node } from './cluster.ts';

/** How long a former primary runs without Patroni. */
const UNWATCHED_MS = 5_000;

/** A way in which the primary fails. */
export interface Scenario {
  readonly name: string;
  /** What happens to the primary, for the report. */
  readonly what: string;
  readonly fail: (cluster: Cluster, primary: Node) => void;
  /** What the operator does after another server was promoted. */
  readonly repair: (cluster: Cluster, former: Node) => void | Promise<void>;
  /** Whether another server must become the primary. */
  readonly isFailover: boolean;
  /** Whether it runs if no scenario is named. */
  readonly isDefault: boolean;
}

const KILL: Pick<Scenario, 'fail' | 'repair' | 'isFailover' | 'isDefault'> = {
  fail: (cluster, primary) => {
    // Patroni first, because it would start PostgreSQL again.
    cluster.killPatroni(primary);
    cluster.killPostmaster(primary);
  },
  repair: (cluster, former) => cluster.startPatroni(former),
  isFailover: true,
  isDefault: true,
};

export const SCENARIOS: readonly Scenario[] = [
  { name: 'kill', what: 'SIGKILL of PostgreSQL and its Patroni', ...KILL },
  { name: 'kill-again', what: 'the same with the new primary', ...KILL },
  {
    name: 'freeze',
    what: 'SIGSTOP of PostgreSQL and its Patroni; after the promotion SIGCONT of PostgreSQL, then a new Patroni',
    fail: (cluster, primary) => cluster.freeze(primary),
    repair: async (cluster, former) => {
      cluster.killPatroni(former);
      cluster.thaw(former);
      // It takes itself for the primary until a Patroni demotes it.
      await sleep(UNWATCHED_MS);
      cluster.startPatroni(former);
    },
    isFailover: true,
    isDefault: true,
  },
  {
    name: 'no-patroni',
    what: 'SIGKILL of Patroni only: the old primary keeps accepting connections',
    fail: (cluster, primary) => cluster.killPatroni(primary),
    repair: (cluster, former) => cluster.startPatroni(former),
    isFailover: true,
    isDefault: true,
  },
  {
    name: 'restart',
    what: 'SIGKILL of PostgreSQL only: its Patroni starts it again',
    fail: (cluster, primary) => cluster.killPostmaster(primary),
    repair: () => {},
    isFailover: false,
    isDefault: true,
  },
  {
    // Patroni 3.0.2 writes the leader key of etcd without a condition. If it was stopped between reading and writing this
    // key, it takes the key from the new primary when it continues, and the standbys discard what the new primary
    // has committed. Later versions do not: https://github.com/patroni/patroni/pull/2689
    name: 'freeze-patroni',
    what: 'SIGSTOP and SIGCONT of both (not run by default: Patroni 3.0.2 may lose commits)',
    fail: (cluster, primary) => cluster.freeze(primary),
    repair: (cluster, former) => cluster.thaw(former),
    isFailover: true,
    isDefault: false,
  },
];
