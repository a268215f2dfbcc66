import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from '../support/samples.ts';
import { Cluster, type Node } from './cluster.ts';
import { addHosts, ControlPlane } from './control-plane.ts';
import { type Acknowledgement, Load } from './load.ts';
import type { Scenario } from './scenarios.ts';

/** How long the load runs before the primary fails, and after acknowledgements resume. */
const BEFORE_MS = 8_000;
const AFTER_MS = 8_000;
/** How long a promotion may take. Patroni waits for its `ttl` of 20 s. */
const PROMOTION_LIMIT_MS = 60_000;
/** Acknowledgements must resume within this time after the promotion. */
const RESUME_LIMIT_MS = 30_000;
const DRAIN_LIMIT_MS = 60_000;
const ONLINE_LIMIT_MS = 60_000;
const POLL_MS = 20;

export interface FailoverOptions {
  readonly agents: number;
  readonly instances: number;
  /** Finishes per second, of all agents together. */
  readonly rate: number;
  readonly isStrict: boolean;
  readonly scenarios: readonly Scenario[];
}

/** What was measured while the primary failed once. */
export interface Measured {
  readonly scenario: Scenario;
  readonly former: string;
  readonly promoted: string;
  readonly killToPromotionMs: number;
  /** From the promotion, or from the failure if there is none, to the first acknowledgement after it. */
  readonly toFirstAckMs: number;
  readonly before: Latency;
  /** Of what was acknowledged from the failure until acknowledgements were as fast as before. */
  readonly around: Latency;
  readonly inFlight: number;
  readonly checked: Checked;
  readonly afterReturn: Checked;
}

export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  readonly count: number;
}

/** The ledger of the agents compared with the primary and the histograms. */
export interface Checked {
  readonly acknowledged: number;
  readonly stored: number;
  /** Acknowledged finishes that the primary does not have. */
  readonly lost: number;
  /** Finishes in the histograms of all control planes. */
  readonly counted: number;
}

export interface Outcome {
  readonly measured: readonly Measured[];
  readonly reconnections: number;
  readonly faults: readonly string[];
}

/** @param tell called with what happens */
export async function failover(
  options: FailoverOptions,
  tell: (what: string) => void,
): Promise<Outcome> {
  const { agents, instances, rate, isStrict, scenarios } = options;
  const cluster = await Cluster.start(isStrict);
  tell('three servers run, one of them as a synchronous standby');
  const planes: ControlPlane[] = [];
  for (let n = 0; n < instances; n++) {
    planes.push(await ControlPlane.start(cluster.url, `${n}/${instances}`));
  }
  const names = Array.from({ length: agents }, (_, n) => `host-${n}.example.net`);
  const hosts = await addHosts(cluster.url, names);
  const load = new Load(
    hosts,
    planes.map(({ agentUrl }) => agentUrl),
    rate,
  );
  const test = new FailoverTest(cluster, planes, load, tell);
  const measured: Measured[] = [];
  for (const scenario of scenarios) measured.push(await test.run(scenario, agents));
  load.end();
  return { measured, reconnections: load.reconnections, faults: await test.end() };
}

class FailoverTest {
  readonly #cluster: Cluster;
  readonly #planes: readonly ControlPlane[];
  readonly #load: Load;
  readonly #tell: (what: string) => void;
  readonly #faults: string[] = [];

  constructor(
    cluster: Cluster,
    planes: readonly ControlPlane[],
    load: Load,
    tell: (what: string) => void,
  ) {
    this.#cluster = cluster;
    this.#planes = planes;
    this.#load = load;
    this.#tell = tell;
  }

  async run(scenario: Scenario, agents: number): Promise<Measured> {
    const [cluster, load] = [this.#cluster, this.#load];
    await until(ONLINE_LIMIT_MS, 'all agents online', () => load.online === agents);
    const { primary: former, synchronous } = await cluster.untilRedundant();
    load.resume();
    await sleep(BEFORE_MS);
    const inFlight = load.unanswered;
    const failedAt = performance.now();
    scenario.fail(cluster, former);
    this.#tell(`${scenario.name}: ${scenario.what} (${former.name})`);

    const promoted = scenario.isFailover ? await this.#promotion(former) : former;
    const promotedAt = scenario.isFailover ? performance.now() : failedAt;
    if (scenario.isFailover && promoted !== synchronous) {
      this.#fault(
        scenario,
        `${promoted.name} was promoted, but ${synchronous.name} was synchronous`,
      );
    }
    this.#tell(`${scenario.name}: ${promoted.name} is the primary`);
    const firstAck = await this.#firstAck(scenario, promotedAt, scenario.isFailover ? 0 : 1_000);
    await sleep(AFTER_MS);
    // With load, because a primary that returns must not get any of it.
    await scenario.repair(cluster, former);
    await sleep(AFTER_MS);
    const endedAt = performance.now();
    const checked = await this.#check(scenario, 'after the failover');
    const { primary } = await cluster.untilRedundant();
    if (primary !== promoted) this.#fault(scenario, `${primary.name} became the primary later`);
    this.#tell(`${scenario.name}: ${former.name} follows ${primary.name}`);
    const afterReturn = await this.#check(scenario, 'after the old primary has returned');

    const between = (from: number, to: number) =>
      load.acknowledgements.filter(({ atMs }) => atMs >= from && atMs < to);
    return {
      scenario,
      former: former.name,
      promoted: promoted.name,
      killToPromotionMs: promotedAt - failedAt,
      toFirstAckMs: firstAck - promotedAt,
      before: latencyOf(between(failedAt - BEFORE_MS, failedAt)),
      around: latencyOf(between(failedAt, endedAt)),
      inFlight,
      checked,
      afterReturn,
    };
  }

  /** Stops the control planes. @returns all faults */
  async end(): Promise<readonly string[]> {
    for (const [index, plane] of this.#planes.entries()) {
      if (!plane.isRunning) this.#faults.push(`control plane ${index} has ended`);
      else if ((await plane.stop()) !== 0)
        this.#faults.push(`control plane ${index} failed at its end`);
    }
    this.#faults.push(...this.#cluster.deadlocks().map((details) => `a deadlock: ${details}`));
    this.#faults.push(...new Set(this.#load.unexpected.map((what) => `an agent received ${what}`)));
    return this.#faults;
  }

  async #promotion(former: Node): Promise<Node> {
    let promoted: Node | undefined;
    await until(PROMOTION_LIMIT_MS, 'promotion', async () => {
      promoted = await this.#cluster.primary(former);
      return promoted !== undefined;
    });
    return promoted as Node;
  }

  /** @returns when the first acknowledgement arrived, at least `afterMs` after the time `fromMs` */
  async #firstAck(scenario: Scenario, fromMs: number, afterMs: number): Promise<number> {
    const { acknowledgements } = this.#load;
    const find = () => acknowledgements.findLast(({ atMs }) => atMs > fromMs + afterMs);
    await until(RESUME_LIMIT_MS, 'acknowledgement', () => find() !== undefined).catch((error) =>
      this.#fault(scenario, String(error.message)),
    );
    return acknowledgements.find(({ atMs }) => atMs > fromMs + afterMs)?.atMs ?? Number.NaN;
  }

  /** Compares the ledger with the database and the histograms, when no finish is unanswered. */
  async #check(scenario: Scenario, when: string): Promise<Checked> {
    const [cluster, load] = [this.#cluster, this.#load];
    load.pause();
    await until(
      DRAIN_LIMIT_MS,
      'acknowledgement of every finish',
      () => load.unanswered === 0,
    ).catch(() => this.#fault(scenario, `${load.unanswered} finishes were not acknowledged`));
    const rows = await cluster.query(
      await cluster.requirePrimary(),
      "SELECT host_id || '/' || job_id FROM jobs WHERE status IS NOT NULL",
    );
    const stored = new Set(rows.map(([finish]) => String(finish)));
    let counted = 0;
    // A control plane asks once a second about finishes whose commit had no answer.
    await until(DRAIN_LIMIT_MS / 2, '', async () => {
      const counts = await Promise.all(this.#planes.map((plane) => plane.counted()));
      counted = counts.reduce((sum, count) => sum + count, 0);
      return counted === stored.size;
    }).catch(() => {});
    const lost = [...load.acknowledged].filter((finish) => !stored.has(finish)).length;
    if (lost > 0) this.#fault(scenario, `${lost} acknowledged finishes are lost ${when}`);
    if (rows.length !== stored.size) this.#fault(scenario, `a finish is stored twice ${when}`);
    if (counted !== stored.size) {
      this.#fault(scenario, `${counted} finishes counted, but ${stored.size} stored ${when}`);
    }
    return { acknowledged: load.acknowledged.size, stored: stored.size, lost, counted };
  }

  #fault({ name }: Scenario, what: string): void {
    this.#faults.push(`${name}: ${what}`);
    this.#tell(`${name}: ${what}`);
  }
}

function latencyOf(acknowledgements: readonly Acknowledgement[]): Latency {
  const sorted = Float64Array.from(acknowledgements, ({ afterMs }) => afterMs).sort();
  return {
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    longest: sorted.at(-1) ?? Number.NaN,
    count: sorted.length,
  };
}

/** @throws Error if `check` is not true within the time */
async function until(
  limitMs: number,
  what: string,
  check: () => boolean | Promise<boolean>,
): Promise<void> {
  const endAt = performance.now() + limitMs;
  while (!(await check())) {
    if (performance.now() > endAt) throw new Error(`no ${what} within ${limitMs / 1_000} s`);
    await sleep(POLL_MS);
  }
}
