import { ulid } from 'ulid';
import type { Host } from '../../src/index.ts';
import { logNormal, pick, type Random, seededRandom } from './random.ts';

/*
 * The fleet that every contestant shows. Names and values are realistic and the same in every run.
 * Both affect the cost of a body: names that are not ASCII, times with milliseconds, sizes of 13
 * digits.
 */

const NOON = Date.UTC(2026, 0, 15, 12);
const DAY_MS = 86_400_000;

const SITES = ['fra1', 'zrh2', 'lis1', 'osa1', 'ams3'] as const;
const ROLES = [
  { role: 'web', gib: 12 },
  { role: 'db', gib: 240 },
  { role: 'app', gib: 30 },
  { role: 'mail', gib: 400 },
  { role: 'nas', gib: 3_000 },
  { role: 'ci', gib: 90 },
] as const;
const PEOPLE = ['zoë', 'amir', 'björn', 'елена', 'grace', 'håkon', 'josé', '健二', 'linh'] as const;

const AGENTS = ['1.4.0', '1.4.1', '1.5.0-rc.1'] as const;
const RESTICS = ['0.16.4', '0.17.3', '0.18.1'] as const;

/** The percentage of a fleet that changes in 15 s if each host is backed up about once a day. */
export const CHANGED_IN_15_S = 0.02;

/** Hosts in the order of their ids, which is also the order of their enrolment. */
export function* benchHosts(size: number): Generator<Host> {
  const random = seededRandom(size);
  for (let index = 0; index < size; index++) {
    const enrolledAt = NOON - 700 * DAY_MS + Math.floor((index * 650 * DAY_MS) / size);
    yield host(random, ulid(enrolledAt, random), index);
  }
}

export function benchFleet(size: number): Host[] {
  return [...benchHosts(size)];
}

/** The same host after its next backup. This is the most frequent change in a fleet. */
export function afterBackup(host: Host, random: Random): Host {
  const finishedAtMs = NOON + Math.floor(random() * DAY_MS);
  const durationMs = Math.floor(logNormal(random, 90_000, 1));
  return {
    ...host,
    lastBackup: { finishedAtMs, succeeded: true, durationMs },
    lastBackupSuccessMs: finishedAtMs,
    lastBackupAddedBytes: Math.floor(logNormal(random, 200, 1.5) * 2 ** 20),
    repoSizeBytes: Math.floor((host.repoSizeBytes ?? 2 ** 30) * (1 + random() / 1000)),
    snapshotCount: (host.snapshotCount ?? 0) + 1,
  };
}

/** Values of the families about the whole fleet, over the hosts that were added. */
export class FleetTotals {
  hosts = 0;
  online = 0;
  critical = 0;
  info = 0;
  warning = 0;

  count({ online, openAlerts = {} }: Host): void {
    this.hosts++;
    this.online += Number(online);
    this.critical += openAlerts.critical ?? 0;
    this.info += openAlerts.info ?? 0;
    this.warning += openAlerts.warning ?? 0;
  }
}

function host(random: Random, hostId: string, index: number): Host {
  const { name, gib } = nameAndSize(random, index);
  const known = {
    hostId,
    host: name,
    online: random() < 0.95,
    agentVersion: pick(random, AGENTS),
    resticVersion: pick(random, RESTICS),
    os: 'linux',
    arch: random() < 0.8 ? 'amd64' : 'arm64',
    backupIntervalSeconds: 86_400,
  };
  if (random() < 0.03) return { ...known, repoStatus: 'init_failed', openAlerts: { critical: 1 } };
  const succeeded = random() < 0.96;
  const finishedAtMs = NOON - Math.floor(random() * DAY_MS);
  return {
    ...known,
    lastBackup: { finishedAtMs, succeeded, durationMs: Math.floor(logNormal(random, 90_000, 1)) },
    lastBackupSuccessMs: succeeded ? finishedAtMs : finishedAtMs - DAY_MS,
    lastBackupAddedBytes: Math.floor(logNormal(random, 200, 1.5) * 2 ** 20),
    ...(random() < 0.7 && { lastCheckSuccessMs: NOON - Math.floor(random() * 7 * DAY_MS) }),
    repoSizeBytes: Math.floor(logNormal(random, gib, 0.8) * 2 ** 30),
    repoStatus: 'ready',
    snapshotCount: 1 + Math.floor(random() * 400),
    ...(!succeeded && { openAlerts: { warning: 1 + Math.floor(random() * 2) } }),
  };
}

/** Names such as `db-fra1-0042.backup.example.net` and `laptop-zoë-17`. */
function nameAndSize(random: Random, index: number): { name: string; gib: number } {
  if (random() < 0.3) return { name: `laptop-${pick(random, PEOPLE)}-${index}`, gib: 60 };
  const { role, gib } = pick(random, ROLES);
  const number = String(index).padStart(4, '0');
  return { name: `${role}-${pick(random, SITES)}-${number}.backup.example.net`, gib };
}
