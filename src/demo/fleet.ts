/** The kind of a host, which determines the size of its repository and how its jobs end. */
export interface Role {
  readonly name: string;
  readonly sizeGib: number;
  /** Factor for the durations of jobs that read or write much data. */
  readonly slowness: number;
  /** Share of backups that are cancelled. */
  readonly cancels: number;
}

/**
 * What happens to a host. Together the fates show everything that a dashboard can display.
 * - `steady`: its jobs succeed, with rare failures
 * - `failing`: every backup fails
 * - `damaged`: every check and prune fails
 * - `flaky`: its agent disconnects now and then, and reports the jobs of that time after it reconnects
 * - `stale`: online, but its last backup was days ago
 * - `never`: has a repository but was never backed up
 * - `uninitialised`: its repository could not be created
 * - `gone`: its agent connects once and never reconnects
 * - `pending`: enrolled, but its agent never connects
 */
export type Fate =
  | 'steady'
  | 'failing'
  | 'damaged'
  | 'flaky'
  | 'stale'
  | 'never'
  | 'uninitialised'
  | 'gone'
  | 'pending';

export interface PlannedHost {
  readonly host: string;
  readonly role: Role;
  readonly fate: Fate;
}

const WEB: Role = { name: 'web', sizeGib: 12, slowness: 0.4, cancels: 0.005 };
const APP: Role = { name: 'app', sizeGib: 30, slowness: 0.6, cancels: 0.005 };
const DB: Role = { name: 'db', sizeGib: 240, slowness: 1.8, cancels: 0.002 };
const MAIL: Role = { name: 'mail', sizeGib: 400, slowness: 2, cancels: 0.002 };
const CI: Role = { name: 'ci', sizeGib: 90, slowness: 0.8, cancels: 0.02 };
const NAS: Role = { name: 'nas', sizeGib: 3_000, slowness: 5, cancels: 0.01 };
const LAPTOP: Role = { name: 'laptop', sizeGib: 60, slowness: 1, cancels: 0.08 };

const ROLES = [WEB, DB, LAPTOP, WEB, MAIL, LAPTOP, NAS, APP, CI, LAPTOP] as const;
const SITES = ['fra', 'zrh', 'lis', 'osa'] as const;
/** Owners of laptops. Some names are not ASCII. */
const PEOPLE = [
  'zoë',
  'amir',
  'björn',
  'chloé',
  'елена',
  'grace',
  'håkon',
  'josé',
  '健二',
  'linh',
  'müge',
  'nils',
  'σοφία',
  'tomasz',
] as const;

/** Fates of the first hosts, so that even a small fleet has most of them. */
const FIRST_FATES = [
  'steady',
  'failing',
  'never',
  'steady',
  'uninitialised',
  'flaky',
  'damaged',
  'gone',
  'stale',
] as const satisfies Fate[];

/** Plans a fleet. Names are unique and the same in every run. */
export function planFleet(size: number): PlannedHost[] {
  const taken = new Map<string, number>();
  return Array.from({ length: size }, (_, index) => {
    const role = ROLES[index % ROLES.length] ?? WEB;
    return { host: nameOf(role, index, taken), role, fate: fateOf(index, size) };
  });
}

/** Names such as `db-02.zrh` and `laptop-zoë`, with a number where there are several. */
function nameOf({ name }: Role, index: number, taken: Map<string, number>): string {
  const site = SITES[Math.floor(index / ROLES.length) % SITES.length];
  const group = name === LAPTOP.name ? name : `${name}.${site}`;
  const before = taken.get(group) ?? 0;
  taken.set(group, before + 1);
  if (name !== LAPTOP.name) return `${name}-${String(before + 1).padStart(2, '0')}.${site}`;
  const round = Math.floor(before / PEOPLE.length);
  return `${name}-${PEOPLE[before % PEOPLE.length]}${round === 0 ? '' : `-${round + 1}`}`;
}

function fateOf(index: number, size: number): Fate {
  if (index > 0 && index === size - 1) return 'pending';
  const first = FIRST_FATES[index];
  if (first !== undefined) return first;
  if (index % 25 === 0) return 'failing';
  if (index % 20 === 17) return 'flaky';
  if (index % 50 === 33) return 'stale';
  if (index % 100 === 61) return 'damaged';
  return 'steady';
}
