/** What a host is for, which says how much it backs up and how its jobs go. */
export interface Role {
  readonly name: string;
  readonly sizeGib: number;
  /** Factor on the durations of jobs that read or write much. */
  readonly slowness: number;
  /** Share of backups that somebody or something cancels. */
  readonly cancels: number;
}

/**
 * What happens to a host, so that everything a dashboard has to show is there to be seen.
 * - `steady`: all is well, but for the odd failure
 * - `failing`: every backup fails
 * - `damaged`: every check and prune fails
 * - `flaky`: drops out now and then, and reports later what it did meanwhile
 * - `stale`: online, but its backups have stopped days ago
 * - `never`: has a repository and has never been backed up
 * - `uninitialised`: its repository could not be made
 * - `gone`: connects once and stays away
 * - `pending`: enrolled, never connects
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
/** Laptops belong to people, whose names are not all ASCII. */
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

/** The first hosts are one of each, so that a small fleet has something of everything. */
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

/** Names are unique and the same in every run. */
export function planFleet(size: number): PlannedHost[] {
  const taken = new Map<string, number>();
  return Array.from({ length: size }, (_, index) => {
    const role = ROLES[index % ROLES.length] ?? WEB;
    return { host: nameOf(role, index, taken), role, fate: fateOf(index, size) };
  });
}

/** `db-02.zrh` and `laptop-zoë`, numbered where there are several. */
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
