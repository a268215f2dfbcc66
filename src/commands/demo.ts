import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DEFAULTS,
  LISTEN_EXPECTED,
  type ListenAddress,
  parseListenAddress,
  type Settings,
} from '../config/settings.ts';
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from '../control-plane/control-plane.ts';
import { Activity } from '../demo/activity.ts';
import { AgentsThread } from '../demo/agents.ts';
import { enrol } from '../demo/enrolment.ts';
import { type PlannedHost, planFleet } from '../demo/fleet.ts';
import { introduction } from '../demo/introduction.ts';
import { showProgress } from '../demo/progress.ts';
import { missingPrograms, RESTIC_HOSTS, ResticHost } from '../demo/restic-hosts.ts';
import { errorCode, RmError } from '../errors.ts';
import type { StoreClient } from '../loop/doors/store-client.ts';
import { createLog } from '../platform/log.ts';
import { openFileLimit } from '../platform/open-files.ts';
import { type Command, expectArguments, parseFlags } from './command.ts';

const MAX_HOSTS = 18_000;
const RESERVED_FILES = 200;
const SHUTDOWN_LIMIT_MS = 5_000;

export const demo: Command = {
  usage: `restic-manager demo [--hosts N] [--listen HOST:PORT] [--restic]

Run a temporary control plane with simulated agents.

  --hosts N           number of simulated hosts, 1 to ${MAX_HOSTS} (default: 100)
  --listen HOST:PORT  address to listen on (default: 127.0.0.1:8080, or a free port if that is in use)
  --restic            add ${RESTIC_HOSTS.length} hosts with real repositories in a temporary directory, backed up by
                      restic-report; needs restic and curl

Prints the address of the status page and how to view the metrics. Runs until Ctrl-C, then deletes its data. Ignores the settings of serve.`,
  async run(args) {
    const { values, positionals } = parseFlags(args, {
      hosts: { type: 'string', default: '100' },
      listen: { type: 'string' },
      restic: { type: 'boolean', default: false },
    });
    expectArguments(positionals, []);
    if (values.restic) expectPrograms();
    await runDemo({
      hosts: hostCount(values.hosts),
      listen: listenAddress(values.listen),
      restic: values.restic,
    });
  },
};

interface DemoOptions {
  readonly hosts: number;
  /**
   * If undefined, the demo listens on the default port, or on a free one if the default port is
   * taken.
   */
  readonly listen: ListenAddress | undefined;
  /** Whether to add hosts with real repositories. */
  readonly restic: boolean;
}

/** Closes one thing that was started. Closers run in reverse order. */
type Closer = () => void | Promise<void>;

async function runDemo(options: DemoOptions): Promise<void> {
  const end = endSignal();
  const closers: Closer[] = [];
  try {
    await start(options, end, closers);
    if (!end.aborted) await once(end, 'abort');
  } finally {
    setTimeout(() => process.exit(1), SHUTDOWN_LIMIT_MS).unref();
    for (const close of closers.reverse()) await close();
  }
}

/**
 * Returns an AbortSignal that fires when the demo must end: the process received a signal, or
 * standard output is closed. A second signal is ignored: npm forwards a Ctrl-C that the terminal has
 * already sent to this process.
 */
function endSignal(): AbortSignal {
  const controller = new AbortController();
  const end = () => controller.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  process.stdout.on('error', end);
  return controller.signal;
}

/**
 * Starts the demo and adds to `closers` whatever must be closed. Returns early if `end` fires during
 * the start.
 */
async function start(
  { hosts, listen, restic }: DemoOptions,
  end: AbortSignal,
  closers: Closer[],
): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'restic-manager-demo-'));
  process.once('exit', () => rmSync(dataDir, { recursive: true, force: true }));
  const token = randomBytes(8).toString('hex');
  const log = createLog('warn');
  const onDeath = (error: unknown) => {
    log.fatal({ err: error }, 'fatal error, exiting');
    process.exit(1);
  };
  let lastScrape: { at: number; bytes: number } | undefined;
  const onScrape = (bytes: number) => {
    lastScrape = { at: performance.now(), bytes };
  };
  const settings = demoSettings(dataDir, token);
  const controlPlane = await startOnListenAddress(listen, { settings, log, onDeath, onScrape });
  closers.push(() => controlPlane.close());
  if (end.aborted) return;

  const url = connectableUrl(controlPlane.url);
  const usesDefaultPort = url.endsWith(`:${DEFAULTS.listen.port}`);
  const takenPort = listen === undefined && !usesDefaultPort ? DEFAULTS.listen.port : undefined;
  process.stdout.write(introduction({ hosts, url, token, takenPort, restic }));

  const plans = planFleet(hosts);
  const agents = plans.filter(everConnects).length;
  const activity = new Activity();
  closers.push(
    showProgress(process.stdout, () => ({
      agents,
      connected: activity.read('connected'),
      jobsFinished: activity.read('jobsFinished'),
      jobsFailed: activity.read('jobsFailed'),
      lastScrape: lastScrape && { ...lastScrape, agoMs: performance.now() - lastScrape.at },
    })),
  );
  if (restic) await startResticHosts(url, controlPlane.store, join(dataDir, 'restic'), closers);
  const enrolled = await enrol(plans, controlPlane.store, end);
  if (end.aborted) return;
  const connecting = enrolled.filter(({ plan }) => everConnects(plan));
  const thread = new AgentsThread({ url, hosts: connecting, activity, onDeath });
  closers.push(() => thread.close());
}

/** @throws RmError `usage` if a program that `--restic` needs is not installed */
function expectPrograms(): void {
  const missing = missingPrograms();
  if (missing.length === 0) return;
  throw new RmError('usage', `--restic: ${missing.join(' and ')} must be installed`);
}

async function startResticHosts(
  url: string,
  store: StoreClient,
  directory: string,
  closers: Closer[],
): Promise<void> {
  const added = await store.submit('addHosts', { hosts: RESTIC_HOSTS });
  const onFailure = (text: string) => void process.stderr.write(`${text}\n`);
  for (const { hostId, token } of added) {
    const host = new ResticHost({ url, token, directory: join(directory, hostId), onFailure });
    mkdirSync(join(directory, hostId), { recursive: true });
    const ended = host.run();
    closers.push(() => {
      host.close();
      return ended;
    });
  }
}

function everConnects({ fate }: PlannedHost): boolean {
  return fate !== 'pending';
}

function demoSettings(dataDir: string, token: string): Settings {
  return {
    listen: DEFAULTS.listen,
    metricsListen: undefined,
    access: { token, trustedCidrs: [], trustedProxies: [] },
    metricsExclude: [],
    metricsShard: DEFAULTS.metrics_shard,
    dataDir,
    databaseUrl: undefined,
    agentThreads: 1,
    tls: undefined,
    logLevel: 'warn',
  };
}

/**
 * Listens on the given address. Without one, it listens on the default address, or on a free port
 * if that one is in use.
 */
async function startOnListenAddress(
  listen: ListenAddress | undefined,
  options: ControlPlaneOptions,
): Promise<ControlPlane> {
  const at = (address: ListenAddress) =>
    startControlPlane({ ...options, settings: { ...options.settings, listen: address } });
  if (listen !== undefined) return at(listen);
  try {
    return await at(DEFAULTS.listen);
  } catch (error) {
    if (errorCode(error) !== 'listen_failed') throw error;
    return at({ ...DEFAULTS.listen, port: 0 });
  }
}

/**
 * Replaces the unspecified address by the loopback address, since not every system can connect to
 * the former.
 */
function connectableUrl(url: string): string {
  return url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}

function hostCount(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > MAX_HOSTS) {
    throw new RmError(
      'usage',
      `--hosts: must be a whole number from 1 to ${MAX_HOSTS}, not ${JSON.stringify(text)}`,
    );
  }
  // Both ends of each agent connection are in this process.
  const room = Math.floor((openFileLimit() - RESERVED_FILES) / 2);
  if (count > room) {
    throw new RmError(
      'usage',
      `--hosts: must be at most ${room} because of the open file limit (ulimit -n), not ${count}`,
    );
  }
  return count;
}

function listenAddress(text: string | undefined): ListenAddress | undefined {
  if (text === undefined) return undefined;
  const address = parseListenAddress(text);
  if (address === undefined) {
    throw new RmError('usage', `--listen: must be ${LISTEN_EXPECTED}, not ${JSON.stringify(text)}`);
  }
  return address;
}
