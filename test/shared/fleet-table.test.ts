import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ALERT_KINDS } from '../../src/contract/alert-kinds.ts';
import { type Host, REPO_STATUSES } from '../../src/contract/host.ts';
import { hostNameError } from '../../src/contract/host-name.ts';
import { HOST_FAMILIES } from '../../src/shared/families.ts';
import {
  API_BITS,
  INFO_LENGTH,
  MAX_FAMILY_MARKS,
  PAGE_BYTES,
  PAGE_COUNT,
  PAGE_ROWS,
  Page,
  ROW_COUNT,
  STRUCTURE_VERSION,
  TEXT_LENGTH,
  TEXT_START,
  VERSION,
  viewFleetBuffer,
} from '../../src/shared/fleet-layout.ts';
import { FleetReader, PageCopy } from '../../src/shared/fleet-reader.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { COPY_SLACK_BYTES } from '../../src/shared/text-format.ts';
import { BAD_NAMES } from '../support/bad-names.ts';
import { CopyingReader, type KeptCopy } from '../support/copying-reader.ts';
import { decodeFleet, type ShownHost, shown } from '../support/decode-fleet.ts';
import { interruptedAt } from '../support/interrupted-at.ts';
import { ulidOf } from '../support/ulid.ts';
import { hostOf, RESIDENTS, startFleetOwner } from './fleet-owner.ts';

const HOST: Host = { hostId: ulidOf(5), host: 'db-1.example', online: true };

describe('a reading', () => {
  it('of a new table is empty', () => {
    expect(new CopyingReader(new FleetTable().buffer).read()).toEqual([]);
  });

  it('shows every field as given, and the defaults of those left out', () => {
    const table = new FleetTable();
    table.upsert({
      hostId: ulidOf(1),
      host: 'Ünïcode "quoted" back\\slash',
      online: true,
      reportsByHttp: true,
      lastBackup: { finishedAtMs: 1_763_632_803_500, succeeded: true, durationMs: 93_500 },
      lastBackupSuccessMs: 1_763_632_803_499,
      lastBackupAddedBytes: 5,
      lastCheckSuccessMs: 1_763_632_800_000,
      backupIntervalSeconds: 86_400,
      agentVersion: '1.2 "x"',
      resticVersion: '0.18.1',
      arch: 'arm64',
      repoSizeBytes: 0,
      repoStatus: 'init_failed',
      snapshotCount: 17,
      openAlerts: { critical: 1, info: 2, warning: 3 },
    });
    table.upsert({ hostId: ulidOf(2), host: 'bare', online: false });
    expect(decodeFleet(new CopyingReader(table.buffer).read())).toEqual([
      {
        hostId: ulidOf(1),
        host: 'Ünïcode "quoted" back\\slash',
        online: true,
        reportsByHttp: true,
        lastBackup: { finishedAtMs: 1_763_632_803_500, succeeded: true },
        backupDurationMs: 93_500,
        backupSuccessMs: 1_763_632_803_499,
        backupAddedBytes: 5,
        checkSuccessMs: 1_763_632_800_000,
        backupIntervalSeconds: 86_400,
        info: ',agent_version="1.2 \\"x\\"",restic_version="0.18.1",os="",arch="arm64"',
        repoSizeBytes: 0,
        repoStatus: 'init_failed',
        snapshotCount: 17,
        openAlerts: { critical: 1, info: 2, warning: 3 },
      },
      {
        hostId: ulidOf(2),
        host: 'bare',
        online: false,
        reportsByHttp: false,
        lastBackup: 'none',
        backupDurationMs: 'unknown',
        backupSuccessMs: 'unknown',
        backupAddedBytes: 'unknown',
        checkSuccessMs: 'unknown',
        backupIntervalSeconds: 'unknown',
        info: ',agent_version="",restic_version="",os="",arch=""',
        repoSizeBytes: 'unknown',
        repoStatus: 'unknown',
        snapshotCount: 0,
        openAlerts: { critical: 0, info: 0, warning: 0 },
      },
    ]);
  });

  it('equals a plain sorted map after any upserts, renames, removals and re-adds', () => {
    fc.assert(
      fc.property(pool, fc.array(change, { maxLength: 60, size: 'max' }), (ids, changes) => {
        const table = new FleetTable();
        const reader = new CopyingReader(table.buffer);
        const plain = new Map<string, Host>();
        for (const { first, count, falling, to, read } of changes) {
          const some = ids.slice(first % ids.length).slice(0, count);
          for (const hostId of falling ? some.reverse() : some) {
            if (to === 'removed') {
              expect(table.remove(hostId)).toBe(plain.delete(hostId));
            } else {
              table.upsert({ ...to, hostId });
              plain.set(hostId, { ...to, hostId });
            }
          }
          if (read) expect(decodeFleet(reader.read())).toEqual(sorted(plain));
        }
        expect(decodeFleet(reader.read())).toEqual(sorted(plain));
        expect(decodeFleet(new CopyingReader(table.buffer).read())).toEqual(sorted(plain));
        expect(table.size).toBe(plain.size);
      }),
      // Shrinking a fleet of hundreds takes minutes. To shrink a failure, run it again without `endOnFailure`, with its
      // seed and path.
      { numRuns: 60, endOnFailure: true },
    );
  });
});

it('a page has a mark for each family over hosts, and a bit for each kind of alert', () => {
  expect(HOST_FAMILIES.length).toBeLessThanOrEqual(MAX_FAMILY_MARKS);
  expect(ALERT_KINDS.length).toBeLessThan(31);
});

describe('pages', () => {
  const indices = Array.from({ length: 500 }, (_, index) => index);
  it.each([
    ['rising', indices],
    ['falling', indices.toReversed()],
    ['random', shuffled(indices)],
  ])('hosts that arrive in %s order are read in order', (_, arrival) => {
    const table = new FleetTable();
    const reader = new CopyingReader(table.buffer);
    const plain = new Map<string, Host>();
    for (const [step, index] of arrival.entries()) {
      table.upsert(hostOf(index, step));
      plain.set(ulidOf(index), hostOf(index, step));
      if (step % 16 === 0) expect(decodeFleet(reader.read())).toEqual(sorted(plain));
    }
    const pages = reader.read();
    expect(decodeFleet(pages)).toEqual(sorted(plain));
    // 500 hosts need 8 pages of 64, and no more than twice as many if each split leaves halves.
    expect(pages.length).toBeGreaterThanOrEqual(8);
    expect(pages.length).toBeLessThanOrEqual(16);
    for (const { page } of pages) expect(page.rowCount).toBeLessThanOrEqual(PAGE_ROWS);
  });

  it('rising ids fill each page before the next one begins', () => {
    const table = fleetOf(256);
    const counts = new CopyingReader(table.buffer).read().map(({ page }) => page.rowCount);
    expect(counts).toEqual([64, 64, 64, 64]);
  });

  it.each([
    ['first to last', indices],
    ['last to first', indices.toReversed()],
    ['in random order', shuffled(indices)],
  ])('emptied %s they disappear, and serve hosts that come later', (_, leaving) => {
    const table = fleetOf(500);
    const reader = new CopyingReader(table.buffer);
    const plain = new Map(indices.map((index) => [ulidOf(index), hostOf(index, 0)]));
    for (const [step, index] of leaving.entries()) {
      expect(table.remove(ulidOf(index))).toBe(true);
      plain.delete(ulidOf(index));
      if (step % 16 === 0) expect(decodeFleet(reader.read())).toEqual(sorted(plain));
    }
    expect(reader.read()).toEqual([]);
    expect(table.size).toBe(0);
    for (const index of leaving) table.upsert(hostOf(index, 1));
    expect(decodeFleet(reader.read())).toEqual(indices.map((index) => shown(hostOf(index, 1))));
  });

  it('a fleet that comes and goes for ever takes no more pages and text than the first time', () => {
    const table = new FleetTable();
    const reader = new CopyingReader(table.buffer);
    const used = () => {
      const { control, directory } = viewFleetBuffer(table.buffer);
      const texts = reader
        .read()
        .flatMap(({ page }) =>
          Array.from({ length: page.rowCount }, (_, row) => page.word(TEXT_START, row)),
        );
      return {
        lastBlock: Math.max(...directory.subarray(0, control[PAGE_COUNT])),
        lastText: Math.max(...texts),
      };
    };
    for (const index of indices) table.upsert(hostOf(index, index));
    const atFirst = used();
    for (let round = 0; round < 10; round++) {
      for (const index of indices) table.remove(ulidOf(index));
      for (const index of indices) table.upsert(hostOf(index, index));
    }
    expect(used()).toEqual(atFirst);
  });

  it('the texts of a page may be as long as the usual room for them, a little shorter or longer', () => {
    const table = new FleetTable();
    const name = (n: number, length: number) => `host-${n}-`.padEnd(length, 'x');
    const upsert = (n: number, length: number) =>
      table.upsert({ hostId: ulidOf(n), host: name(n, length), online: true });
    for (let n = 0; n < PAGE_ROWS; n++) upsert(n, 99);
    const reader = new FleetReader(table.buffer);
    const lengths = new Set<number>();
    // The last text begins at any byte of a word of eight.
    for (let shift = 0; shift < 8; shift++) {
      upsert(0, 99 + shift);
      for (let length = 80; length <= 120; length++) {
        upsert(PAGE_ROWS - 1, length);
        const copy = new PageCopy();
        const usual = copy.text.byteLength - COPY_SLACK_BYTES;
        reader.read((blocks) => reader.copyIfChanged(blocks[0] ?? -1, undefined, copy));
        const text = Buffer.from(copy.text.buffer, 0, copy.textLength).toString();
        expect(text).toContain(`host="${name(PAGE_ROWS - 1, length)}"`);
        lengths.add(copy.textLength - usual);
      }
    }
    for (let over = -8; over <= 8; over++) expect(lengths).toContain(over);
  });

  it('a host renamed for ever takes no more text than two names', () => {
    const table = fleetOf(1);
    const reader = new CopyingReader(table.buffer);
    const starts = Array.from({ length: 1_000 }, (_, n) => {
      table.upsert({ ...hostOf(0, 0), host: `name ${n % 10}` });
      return reader.read()[0]?.page.word(TEXT_START, 0) ?? Number.NaN;
    });
    expect(new Set(starts).size).toBe(2);
  });
});

describe('unchanged pages', () => {
  it('come back as the same copy, also after an upsert that says the same', () => {
    const table = fleetOf(200);
    const reader = new CopyingReader(table.buffer);
    const before = reader.read();
    for (let index = 0; index < 200; index++) table.upsert(hostOf(index, 0));
    const after = reader.read();
    expect(after).toHaveLength(before.length);
    after.forEach((copy, at) => {
      expect(copy).toBe(before[at]);
    });
  });

  it('come back as the same copy when a host goes offline that is so already', () => {
    const table = fleetOf(1);
    expect(table.setOnline(ulidOf(0), false)).toBe(true);
    const reader = new CopyingReader(table.buffer);
    const [before] = reader.read();
    expect(table.setOnline(ulidOf(0), false)).toBe(true);
    expect(reader.read()[0]).toBe(before);
    expect(table.setOnline(ulidOf(0), true)).toBe(true);
    expect(reader.read()[0]).not.toBe(before);
    expect(table.setOnline(ulidOf(1), true), 'there is no such host').toBe(false);
  });

  const GOOD = { finishedAtMs: 5_000, succeeded: true, durationMs: 100 };
  it.each<[change: string, to: Partial<Host> | 'offline', families: string[]]>([
    ['its connection', { online: false }, ['agent_online']],
    ['its connection alone', 'offline', ['agent_online']],
    ['how it reports', { reportsByHttp: true }, ['agent_reports_by_http']],
    ['its interval', { backupIntervalSeconds: 60 }, ['backup_interval_seconds']],
    ['the version of its agent', { agentVersion: '99.0' }, ['info']],
    ['what a backup added', { lastBackupAddedBytes: 0 }, ['last_backup_added_bytes']],
    [
      'the end of its last backup',
      { lastBackup: { ...GOOD, finishedAtMs: 5_001 } },
      ['last_backup_success_timestamp_seconds', 'last_backup_timestamp_seconds'],
    ],
    [
      'the duration of its last backup',
      { lastBackup: { ...GOOD, durationMs: 101 } },
      ['last_backup_duration_seconds'],
    ],
    [
      'the result of its last backup',
      { lastBackup: { ...GOOD, succeeded: false }, lastBackupSuccessMs: 5_000 },
      ['last_backup_success'],
    ],
    ['its last check', { lastCheckSuccessMs: 7 }, ['last_check_success_timestamp_seconds']],
    ['its alerts', { openAlerts: { info: 1 } }, ['open_alerts']],
    ['the severity of its alerts', { openAlerts: { critical: 1 } }, []],
    ['the size of its repository', { repoSizeBytes: 0 }, ['repo_size_bytes']],
    ['the state of its repository', { repoStatus: 'ready' }, ['repo_status']],
    ['its snapshots', { snapshotCount: 1 }, ['snapshot_count']],
  ])('with a host that differs in %s have other rows of these families only', (_, to, families) => {
    const table = new FleetTable();
    const openAlerts = to !== 'offline' && to.openAlerts?.critical ? { warning: 1 } : {};
    const host: Host = { ...HOST, lastBackup: GOOD, openAlerts };
    table.upsert(host);
    const reader = new CopyingReader(table.buffer);
    const marks = () => HOST_FAMILIES.map((_, family) => reader.read()[0]?.page.familyMark(family));
    const before = marks();
    const copy = reader.read()[0];
    if (to === 'offline') table.setOnline(HOST.hostId, false);
    else table.upsert({ ...host, ...to });
    const after = marks();
    expect(reader.read()[0]).not.toBe(copy);
    const changed = HOST_FAMILIES.filter((_, family) => before[family] !== after[family]);
    expect(changed.map(({ name }) => name)).toEqual(families.map((name) => `rm_host_${name}`));
  });

  it('with other kinds of alerts are read again, though the exposition shows the same', () => {
    const table = fleetOf(1);
    const reader = new CopyingReader(table.buffer);
    const page = () => reader.read()[0]?.page;
    table.upsert(hostOf(0, 0), 0b01);
    const marks = () => HOST_FAMILIES.map((_, family) => page()?.familyMark(family));
    const before = marks();
    expect(page()?.word(API_BITS, 0)).toBe(0b01);
    table.upsert(hostOf(0, 0), 0b10);
    expect(page()?.word(API_BITS, 0)).toBe(0b10);
    expect(marks()).toEqual(before);
  });

  it.each<[string, Partial<Host>]>([
    ['name', { host: 'other' }],
    ['name of the same length', { host: 'db-2.example' }],
    ['online', { online: false }],
    ['first backup, at 1970', { lastBackup: { finishedAtMs: 0, succeeded: false } }],
    ['size 0, not unknown any more', { repoSizeBytes: 0 }],
    ['repository status', { repoStatus: 'ready' }],
    ['snapshots', { snapshotCount: 1 }],
    ['critical alerts', { openAlerts: { critical: 1 } }],
    ['info alerts', { openAlerts: { info: 1 } }],
    ['warning alerts', { openAlerts: { warning: 1 } }],
  ])('a change of one host (%s) changes its page and no other', (_, change) => {
    const table = fleetOf(192);
    table.upsert({ ...HOST, hostId: ulidOf(70) });
    const reader = new CopyingReader(table.buffer);
    const before = reader.read();
    table.upsert({ ...HOST, hostId: ulidOf(70), ...change });
    const after = reader.read();
    expect(after.map((copy, at) => copy === before[at])).toEqual([true, false, true]);
    expect(decodeFleet(after)[70]).toEqual(shown({ ...HOST, hostId: ulidOf(70), ...change }));
  });

  it('a kept reading is not changed by later writes', () => {
    const table = fleetOf(100);
    const reader = new CopyingReader(table.buffer);
    const before = reader.read();
    const rows = decodeFleet(before);
    for (let index = 0; index < 100; index += 2) table.upsert(hostOf(index, 99));
    for (let index = 1; index < 100; index += 2) table.remove(ulidOf(index));
    reader.read();
    expect(decodeFleet(before)).toEqual(rows);
  });

  it('a page emptied and used again is not taken for the one it was', () => {
    const table = fleetOf(1);
    const reader = new CopyingReader(table.buffer);
    reader.read();
    table.remove(ulidOf(0));
    table.upsert(hostOf(1, 0));
    expect(decodeFleet(reader.read())).toEqual([shown(hostOf(1, 0))]);
  });
});

describe('remove', () => {
  it('says whether there was such a host', () => {
    const table = new FleetTable();
    expect(table.remove(HOST.hostId)).toBe(false);
    table.upsert(HOST);
    expect(table.remove(ulidOf(4))).toBe(false);
    expect(table.remove(ulidOf(6))).toBe(false);
    expect(table.remove('')).toBe(false);
    expect(table.remove(HOST.hostId)).toBe(true);
    expect(table.remove(HOST.hostId)).toBe(false);
  });

  it('of a host that is not there changes nothing', () => {
    const table = fleetOf(65);
    const reader = new CopyingReader(table.buffer);
    const before = reader.read();
    expect(table.remove(ulidOf(66))).toBe(false);
    expect(reader.read().every((copy, at) => copy === before[at])).toBe(true);
  });
});

describe('a host that cannot be shown', () => {
  it.each<[field: string, bad: unknown]>([
    ['hostId', undefined],
    ['hostId', ''],
    ['hostId', 5],
    ['hostId', ulidOf(5).toLowerCase()],
    ['hostId', ulidOf(5).slice(1)],
    ['hostId', `${ulidOf(5)}0`],
    ['hostId', `${ulidOf(5)}\n`],
    ['hostId', `8${ulidOf(5).slice(1)}`],
    ...[...'ILOU"-'].map((letter): [string, string] => ['hostId', ulidOf(5).slice(1) + letter]),
    ['host', undefined],
    ['host', null],
    ['host', 7],
    ['host', ''],
    ['host', 'a'.repeat(256)],
    ['host', '🗄'.repeat(256)],
    // One rule for the names of hosts, here and in `hosts add`.
    ...BAD_NAMES.map((name): [string, string] => ['host', name]),
    ['agentVersion', 7],
    ['resticVersion', 'a'.repeat(256)],
    ...['agentVersion', 'resticVersion', 'os', 'arch'].map((field): [string, string] => [
      field,
      'a\u001bb',
    ]),
    ...['lastBackupSuccessMs', 'lastCheckSuccessMs'].flatMap((field) =>
      [null, '5', 0.5, Number.NaN, 2 ** 53].map((bad): [string, unknown] => [field, bad]),
    ),
    ['lastBackup.durationMs', -1],
    ['lastBackup.durationMs', 0.5],
    ['online', undefined],
    ['online', 1],
    ['online', 'true'],
    ['lastBackup', null],
    ['lastBackup', 1_763_632_803_500],
    ['lastBackup.finishedAtMs', undefined],
    ['lastBackup.finishedAtMs', null],
    ['lastBackup.finishedAtMs', '1763632803500'],
    ['lastBackup.finishedAtMs', 1_763_632_803.5],
    ['lastBackup.finishedAtMs', Number.NaN],
    ['lastBackup.finishedAtMs', Number.NEGATIVE_INFINITY],
    ['lastBackup.finishedAtMs', 2 ** 53],
    ['lastBackup.succeeded', undefined],
    ['lastBackup.succeeded', 'succeeded'],
    ...['repoSizeBytes', 'snapshotCount', 'openAlerts.critical'].flatMap((field) =>
      [null, '5', -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53].map(
        (bad): [string, unknown] => [field, bad],
      ),
    ),
    ['openAlerts.info', -1],
    ['openAlerts.warning', 2 ** 31],
    ['repoStatus', ''],
    ['repoStatus', 'Ready'],
    ['repoStatus', 'failed'],
    ['repoStatus', null],
    ['repoStatus', 1],
  ])('%s %j is refused by name, and nothing changes', (field, bad) => {
    const table = fleetOf(65);
    table.upsert(HOST);
    const reader = new CopyingReader(table.buffer);
    const before = reader.read();
    const refusal = expect.objectContaining({
      code: 'invalid_host',
      message: expect.stringContaining(`host.${field}: `),
    });
    expect(() => table.upsert(withField(HOST, field, bad))).toThrow(refusal);
    expect(() => table.upsert(withField({ ...HOST, hostId: ulidOf(99) }, field, bad))).toThrow(
      refusal,
    );
    expect(reader.read().every((copy, at) => copy === before[at])).toBe(true);
    expect(table.size).toBe(65);
  });

  it('is refused also by a table of another part of the hosts', () => {
    const parts = [0, 1].map((index) => new FleetTable(undefined, [], { index, count: 2 }));
    for (const table of parts) {
      expect(() => table.upsert({ ...HOST, host: '' })).toThrow('host.host: ');
      table.upsert(HOST);
    }
    expect(parts.map(({ size }) => size).sort()).toEqual([0, 1]);
  });

  it.each<[string, Partial<Host>]>([
    ['255 characters of four bytes', { host: '🗄'.repeat(255) }],
    ['255 characters to escape', { host: '\\'.repeat(100) + '"'.repeat(155) }],
    ['the largest ULID', { hostId: `7${'Z'.repeat(25)}` }],
    ['the smallest ULID', { hostId: '0'.repeat(26) }],
    [
      'the largest numbers',
      {
        repoSizeBytes: 2 ** 53 - 1,
        snapshotCount: 2 ** 53 - 1,
        lastBackup: { finishedAtMs: 2 ** 53 - 1, succeeded: true },
        openAlerts: { critical: 2 ** 31 - 1, info: 2 ** 31 - 1, warning: 2 ** 31 - 1 },
      },
    ],
    ['a backup before 1970', { lastBackup: { finishedAtMs: -1, succeeded: true } }],
  ])('is none of these: %s', (_, extreme) => {
    const table = new FleetTable();
    table.upsert({ ...HOST, ...extreme });
    expect(decodeFleet(new CopyingReader(table.buffer).read())).toEqual([
      shown({ ...HOST, ...extreme }),
    ]);
  });
});

describe('a change at any point of a reading', () => {
  /** Of hosts 1 to 100, on two pages. Each is over before the reading goes on. */
  const changes: Record<string, (table: FleetTable) => void> = {
    'a row': (table) => table.upsert(hostOf(70, 1)),
    'a rename, and another host takes the old text': (table) => {
      table.upsert({ ...hostOf(70, 0), host: 'a name that needs more room than it had' });
      table.upsert(hostOf(200, 0));
    },
    'a host added to a full page': (table) => table.upsert(hostOf(0, 0)),
    'a page emptied': (table) => {
      for (let index = 1; index <= 64; index++) table.remove(ulidOf(index));
    },
    'a page emptied and used for other hosts': (table) => {
      for (let index = 1; index <= 64; index++) table.remove(ulidOf(index));
      for (let index = 200; index < 260; index++) table.upsert(hostOf(index, 0));
    },
    'all hosts gone': (table) => {
      for (let index = 1; index <= 100; index++) table.remove(ulidOf(index));
    },
  };
  const fleet = () => {
    const table = new FleetTable();
    for (let index = 1; index <= 100; index++) table.upsert(hostOf(index, 0));
    return table;
  };
  const rowsOf = (pages: KeptCopy[]) => JSON.stringify(decodeFleet(pages));
  const cases = Object.keys(changes).flatMap((name) => [
    { name, knows: false, reader: 'a new reader' },
    { name, knows: true, reader: 'a reader that knows all pages' },
  ]);

  it.each(cases)('$name: $reader sees all of it or nothing', ({ name, knows }) => {
    const changed = fleet();
    const before = rowsOf(new CopyingReader(changed.buffer).read());
    changes[name]?.(changed);
    const after = rowsOf(new CopyingReader(changed.buffer).read());
    const seen = new Set<string>();
    for (let call = 1, interrupted = true; interrupted; call++) {
      const table = fleet();
      const reader = new CopyingReader(table.buffer);
      if (knows) reader.read();
      const change = () => changes[name]?.(table);
      const reading = interruptedAt(call, change, () => reader.read());
      const rows = rowsOf(reading.result);
      if (rows !== before && rows !== after) expect.fail(`call ${call}: ${rows}`);
      interrupted = reading.interrupted;
      if (interrupted) expect(rowsOf(reader.read())).toBe(after);
      seen.add(rows);
    }
    expect(seen).toEqual(new Set([before, after]));
  });
});

describe('a page whose copy makes no sense, because it was copied during a change', () => {
  it.each<[what: string, tear: (page: Page) => void]>([
    [
      'more rows than a page has',
      (page) => page.words.fill(PAGE_ROWS + 1, ROW_COUNT, ROW_COUNT + 1),
    ],
    // If this much memory were reserved for a copy, the reader would fail in another way.
    ...[TEXT_LENGTH, INFO_LENGTH].map((column): [string, (page: Page) => void] => [
      `texts longer than all memory (${column})`,
      (page) => {
        for (let row = 0; row < PAGE_ROWS; row++) page.setWord(column, row, 2 ** 31 - 1);
      },
    ]),
    ['a text behind all memory', (page) => page.setWord(TEXT_START, 0, 2 ** 26)],
  ])('is copied again, and not believed: %s', (_, tear) => {
    const { buffer } = fleetOf(PAGE_ROWS);
    const { pages } = viewFleetBuffer(buffer);
    tear(new Page(buffer, pages.byteOffset, undefined));
    const contended = expect.objectContaining({ code: 'reading_contended' });
    expect(() => new CopyingReader(buffer).read()).toThrow(contended);
  });
});

describe('writing', () => {
  it('changes memory only while the version that protects it is odd', () => {
    const table = new FleetTable();
    const add = Atomics.add;
    const checks = { steps: 0, unprotected: 0 };
    let before = protectedParts(table.buffer);
    const checkStep = () => {
      const now = protectedParts(table.buffer);
      checks.steps++;
      now.forEach(({ bytes }, part) => {
        if (!before[part]?.changing && before[part]?.bytes !== bytes) checks.unprotected++;
      });
    };
    Atomics.add = ((words: Int32Array, index: number, by: number) => {
      checkStep();
      const old = add(words, index, by);
      before = protectedParts(table.buffer);
      return old;
    }) as typeof add;
    try {
      for (const index of shuffled(Array.from({ length: 160 }, (_, n) => n))) {
        table.upsert(hostOf(index, index));
        table.upsert(hostOf(index, index + 1));
      }
      for (let index = 0; index < 160; index++) table.remove(ulidOf(index));
      for (let index = 0; index < 80; index++) table.upsert(hostOf(index, index));
      checkStep();
    } finally {
      Atomics.add = add;
    }
    expect(checks.unprotected).toBe(0);
    expect(checks.steps).toBeGreaterThan(4 * 160);
  });
});

describe('a change that is not finished', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const unfinished = [
    [
      'hosts added or removed',
      (buffer: SharedArrayBuffer) => {
        Atomics.add(viewFleetBuffer(buffer).control, STRUCTURE_VERSION, 1);
      },
    ],
    [
      'a row',
      (buffer: SharedArrayBuffer) => {
        const { pages } = viewFleetBuffer(buffer);
        const secondPage = new Int32Array(buffer, pages.byteOffset + PAGE_BYTES, VERSION + 1);
        Atomics.add(secondPage, VERSION, 1);
      },
    ],
  ] as const;

  it.each(unfinished)(
    '%s: a writer that died in it makes the reading fail, not hang',
    (_, step) => {
      // The reader naps for real a millisecond at a time, some seconds in all.
      const nap = vi.spyOn(Atomics, 'wait').mockReturnValue('timed-out');
      const table = fleetOf(100);
      const reader = new CopyingReader(table.buffer);
      reader.read();
      step(table.buffer);
      expect(() => reader.read()).toThrow(expect.objectContaining({ code: 'reading_contended' }));
      expect(nap).toHaveBeenCalled();
      for (const [, , , timeoutMs] of nap.mock.calls) expect(timeoutMs).toBeLessThanOrEqual(10);
    },
  );

  it.each(unfinished)('%s: a writer that was only held up is waited for', (_, step) => {
    const table = fleetOf(100);
    const reader = new CopyingReader(table.buffer);
    const nap = vi.spyOn(Atomics, 'wait').mockImplementation(() => {
      if (nap.mock.calls.length === 3) step(table.buffer);
      return 'timed-out';
    });
    step(table.buffer);
    expect(decodeFleet(reader.read())).toHaveLength(100);
    expect(nap).toHaveBeenCalledTimes(3);
  });
});

describe('reading while another thread writes', () => {
  it('no row is torn, none is older than the reading, and none that stays is missing', async () => {
    const buffer = new FleetTable().buffer;
    const owner = await startFleetOwner(buffer);
    const reader = new CopyingReader(buffer);
    const faults = { torn: 0, stale: 0, missing: 0, unsorted: 0 };
    const pagesSeen = new Set<number>();
    const rowsSeen = new Set<number>();
    for (const deadline = performance.now() + 1_000; performance.now() < deadline; ) {
      const written = owner.progress.slice();
      const pages = reader.read();
      let before = '';
      let residents = 0;
      for (const row of decodeFleet(pages)) {
        const index = Number.parseInt(row.host, 10);
        const n = row.snapshotCount;
        rowsSeen.add(n);
        if (JSON.stringify(row) !== JSON.stringify(shown(hostOf(index, n)))) faults.torn++;
        if (row.hostId <= before) faults.unsorted++;
        before = row.hostId;
        if (index % 2 === 0 && index < RESIDENTS * 2) {
          residents++;
          if (n < (written[index / 2] ?? 0)) faults.stale++;
        }
      }
      faults.missing += RESIDENTS - residents;
      pagesSeen.add(pages.length);
    }
    const rows = await owner.stop();
    expect(faults).toEqual({ torn: 0, stale: 0, missing: 0, unsorted: 0 });
    // Without rows and pages coming and going under the readings nothing was tried.
    expect(rowsSeen.size).toBeGreaterThan(1_000);
    expect(pagesSeen.size).toBeGreaterThan(1);
    expect(decodeFleet(reader.read())).toEqual(rows.map(([index, n]) => shown(hostOf(index, n))));
  });
});

const fields: fc.Arbitrary<Omit<Host, 'hostId'>> = fc
  .record({
    // Mostly few names, so that upserts that change nothing and renames back and forth happen.
    host: fc.oneof(
      fc.constantFrom('a', 'b', 'name'.repeat(10)),
      fc
        .string({ unit: 'binary', minLength: 1, maxLength: 60 })
        .filter((name) => hostNameError(name) === undefined),
      fc.string({ unit: fc.constantFrom('\\', '"', 'n', 'é'), minLength: 1, maxLength: 9 }),
    ),
    online: fc.boolean(),
    lastBackup: fc.option(
      fc.record(
        { finishedAtMs: fc.maxSafeInteger(), succeeded: fc.boolean(), durationMs: fc.maxSafeNat() },
        { requiredKeys: ['finishedAtMs', 'succeeded'] },
      ),
    ),
    lastBackupSuccessMs: fc.option(fc.maxSafeInteger()),
    lastBackupAddedBytes: fc.option(fc.nat()),
    lastCheckSuccessMs: fc.option(fc.maxSafeInteger()),
    backupIntervalSeconds: fc.option(fc.nat()),
    agentVersion: fc.option(fc.constantFrom('1.0', '1.1', '"')),
    os: fc.option(fc.constantFrom('linux', '')),
    repoSizeBytes: fc.option(fc.maxSafeNat()),
    repoStatus: fc.option(fc.constantFrom(...REPO_STATUSES)),
    snapshotCount: fc.option(fc.maxSafeNat()),
    openAlerts: fc.option(
      fc.record({ critical: fc.nat(), info: fc.nat(), warning: fc.nat() }, { requiredKeys: [] }),
    ),
  })
  .map(({ host, online, ...rest }) => {
    const given = Object.entries(rest).filter(([, value]) => value !== null);
    return { host, online, ...Object.fromEntries(given) };
  });

/** One host or many next to each other, so that a few changes already split and empty pages. */
const change = fc.record({
  first: fc.nat(),
  count: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.integer({ min: 1, max: 200 })),
  falling: fc.boolean(),
  to: fc.oneof({ weight: 2, arbitrary: fields }, fc.constant('removed' as const)),
  read: fc.boolean(),
});

const pool = fc
  .uniqueArray(fc.ulid(), { minLength: 1, maxLength: 300, size: 'max' })
  .map((ids) => ids.sort());

function sorted(hosts: ReadonlyMap<string, Host>): ShownHost[] {
  return [...hosts.keys()].sort().flatMap((hostId) => {
    const host = hosts.get(hostId);
    return host === undefined ? [] : [shown(host)];
  });
}

/** A table of hosts 0 to `count - 1`, each as `hostOf(index, 0)`. */
function fleetOf(count: number): FleetTable {
  const table = new FleetTable();
  for (let index = 0; index < count; index++) table.upsert(hostOf(index, 0));
  return table;
}

function shuffled(numbers: readonly number[]): number[] {
  const order = (n: number) => Math.imul(n + 1, 2_654_435_761) >>> 0;
  return numbers.toSorted((a, b) => order(a) - order(b));
}

/** `host` with the field at a path like `lastBackup.succeeded` set to what its type forbids. */
function withField(host: Host, path: string, value: unknown): Host {
  const [field = '', inner] = path.split('.');
  const complete: Record<string, unknown> = {
    ...host,
    lastBackup: { finishedAtMs: 0, succeeded: true },
    openAlerts: {},
  };
  if (inner === undefined) complete[field] = value;
  else complete[field] = { ...(complete[field] as object), [inner]: value };
  return complete as unknown as Host;
}

/** The directory and the first pages: what is in them, and whether their version is odd. */
function protectedParts(buffer: SharedArrayBuffer) {
  const { control, directory, pages } = viewFleetBuffer(buffer);
  const structure = {
    changing: ((control[STRUCTURE_VERSION] ?? 0) & 1) === 1,
    bytes: `${control[PAGE_COUNT]} ${directory.subarray(0, 8)}`,
  };
  const blocks = Array.from({ length: 8 }, (_, block) => {
    const page = Buffer.from(buffer, pages.byteOffset + block * PAGE_BYTES, PAGE_BYTES);
    const version = page.readInt32LE(VERSION * 4);
    return { changing: (version & 1) === 1, bytes: page.toString('latin1', (VERSION + 1) * 4) };
  });
  return [structure, ...blocks];
}
