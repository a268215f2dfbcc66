import { describe, expect, it } from 'vitest';
import { MAX_PAGES, PAGE_ROWS, TEXT_START } from '../../src/shared/fleet-layout.ts';
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
