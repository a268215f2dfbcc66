import type { Cluster, Node } from './cluster.ts';

/** A way in which the primary fails. */
export interface Scenario {
  readonly name: string;
  /** What happens to the primary, for the report. */
  readonly what: string;
  readonly fail: (cluster: Cluster, primary: Node) => void;
  /** What the operator does after another server was promoted. */
  readonly repair: (cluster: Cluster, former: Node) => void;
  /** Whether another server must become the primary. */
  readonly isFailover: boolean;
}

const KILL: Pick<Scenario, 'fail' | 'repair' | 'isFailover'> = {
  fail: (cluster, primary) => {
    // Patroni first, because it would start PostgreSQL again.
    cluster.killPatroni(primary);
    cluster.killPostmaster(primary);
  },
  repair: (cluster, former) => cluster.startPatroni(former),
  isFailover: true,
};

export const SCENARIOS: readonly Scenario[] = [
  { name: 'kill', what: 'SIGKILL of PostgreSQL and its Patroni', ...KILL },
  { name: 'kill-again', what: 'the same with the new primary', ...KILL },
  {
    name: 'freeze',
    what: 'SIGSTOP of PostgreSQL and its Patroni; SIGCONT after the promotion',
    fail: (cluster, primary) => cluster.freeze(primary),
    repair: (cluster, former) => cluster.thaw(former),
    isFailover: true,
  },
  {
    name: 'no-patroni',
    what: 'SIGKILL of Patroni only: the old primary keeps accepting connections',
    fail: (cluster, primary) => cluster.killPatroni(primary),
    repair: (cluster, former) => cluster.startPatroni(former),
    isFailover: true,
  },
  {
    name: 'restart',
    what: 'SIGKILL of PostgreSQL only: its Patroni starts it again',
    fail: (cluster, primary) => cluster.killPostmaster(primary),
    repair: () => {},
    isFailover: false,
  },
];
