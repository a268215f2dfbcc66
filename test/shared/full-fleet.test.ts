import { describe, expect, it } from 'vitest';
import {
  MAX_PAGES,
  PAGE_ROWS,
  TEXT_START,
  viewFleetBuffer,
} from '../../src/shared/fleet-layout.ts';
import { FleetReader, PageCopy } from '../../src/shared/fleet-reader.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { CopyingReader } from '../support/copying-reader.ts';
import { hostId } from '../support/scrape-rig.ts';

/** A number behind those of all hosts that were added. */
const END = 1_000_000;
const FULL = expect.objectContaining({ code: 'fleet_full' });

/** Which pages are full is all that counts, so each but the first has a single host. */
function fullFleet(): FleetTable {
  const table = new FleetTable();
  for (let n = 0; n < PAGE_ROWS; n++) add(table, n);
  // Each of these comes behind a full page and before all others, so that it gets a page of its own.
  for (let page = 1; page < MAX_PAGES; page++) add(table, END - page);
  return table;
}

function add(table: FleetTable, n: number, host = 'a'): void {
  table.upsert({ hostId: hostId(n), host, online: true });
}

/** Where the text of the host is. */
function textOf(table: FleetTable, host: string): number {
  for (const { page, text, textEnds } of new CopyingReader(table.buffer).read()) {
    for (let row = 0; row < page.rowCount; row++) {
      const start = textEnds[row - 1] ?? 0;
      const length = (textEnds[row] ?? 0) - start;
      const label = Buffer.from(text.buffer, text.byteOffset + start, length).toString();
      if (label.includes(`host="${host}"`)) return page.word(TEXT_START, row);
    }
  }
  throw new Error(`no host ${host}`);
}

it('a fleet table has room for a million hosts in any order, with 256 bytes of labels each', () => {
  // A page that is split leaves two half full ones.
  expect((MAX_PAGES * PAGE_ROWS) / 2).toBeGreaterThan(1_000_000);
  const { text } = viewFleetBuffer(new FleetTable().buffer);
  expect(text.byteLength).toBeGreaterThan(1_000_000 * 256);
});

describe('a fleet table whose pages are all in use', () => {
  it('refuses one host more, and takes it when another one has left', () => {
    const table = fullFleet();
    const size = table.size;
    expect(() => add(table, PAGE_ROWS)).toThrow(FULL);
    expect(table.size).toBe(size);
    table.remove(hostId(END - 1));
    add(table, PAGE_ROWS);
    expect(table.size).toBe(size);
  });

  it('loses no memory to hosts that it refuses: reject, remove and add again and again', () => {
    const table = fullFleet();
    const long = 'n'.repeat(200);
    const refused = () => expect(() => add(table, PAGE_ROWS, long)).toThrow(FULL);
    refused();
    table.remove(hostId(END - 1));
    add(table, PAGE_ROWS, long);
    const atFirst = textOf(table, long);
    for (let round = 0; round < 5; round++) {
      table.remove(hostId(PAGE_ROWS));
      add(table, PAGE_ROWS + 1);
      for (let n = 0; n < 3; n++) refused();
      table.remove(hostId(PAGE_ROWS + 1));
      add(table, PAGE_ROWS, long);
    }
    expect(textOf(table, long)).toBe(atFirst);
  });
});

describe('a fleet table whose memory for labels is full', () => {
  // 4,096 bytes of labels, a part of the memory without a rest: the last labels end where it ends.
  const long = '🗄'.repeat(250);
  const labels = { host: long, agentVersion: long, resticVersion: long, os: long, arch: 'abc' };
  const addLong = (table: FleetTable, n: number) =>
    table.upsert({ hostId: hostId(n), online: true, ...labels });

  it('refuses one host more, is read to its last row, and takes a host when another one has left', () => {
    const table = new FleetTable();
    const fill = () => {
      for (;;) addLong(table, table.size);
    };
    expect(fill).toThrow(FULL);
    const { size } = table;
    expect(size).toBeGreaterThan(65_000);
    const [reader, copy] = [new FleetReader(table.buffer), new PageCopy()];
    let rows = 0;
    reader.read((blocks) => {
      rows = 0;
      for (const block of blocks) {
        reader.copyIfChanged(block, undefined, copy);
        rows += copy.page.rowCount;
      }
    });
    expect(rows).toBe(size);
    table.remove(hostId(0));
    addLong(table, size);
    expect(table.size).toBe(size);
  });
});
