import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type GoPeers, goInput, withGoPeers } from './peers/go.ts';
import type { ServerKind } from './servers/serve.ts';
import { type BenchDefinition, type BenchOptions, fleetSizes } from './support/bench.ts';
import { benchFleet, CHANGED_IN_15_S } from './support/fleet.ts';
import { jobTable } from './support/jobs.ts';
import { type Role, type Row, rowsOf } from './support/result.ts';
import { type Contestant, type Pace, rotate } from './support/rotation.ts';
import { assertSameRows } from './support/same-rows.ts';
import { type Encoding, Scraper } from './support/scraper.ts';
import { ServerProcess } from './support/server-process.ts';

export const scrape: BenchDefinition = {
  name: 'scrape',
  question: 'How long does Prometheus wait for the whole body, over loopback HTTP?',
  run: (options) =>
    withGoPeers(options.peers, async (go, directory) => {
      const rows: Row[] = [];
      for (const hosts of fleetSizes(options)) {
        rows.push(...(await ofSize(hosts, directory, go, options)));
      }
      return {
        rows,
        notes: [
          'OpenTelemetry: its exporter does not compress.',
          'Ours: the given percentage of hosts reports a backup between two scrapes. 0.02 % is normal for 15 s. With 100 or 1,000 hosts it means no host. The others do the same work however much has changed.',
          ...go.notes,
        ],
      };
    }),
};

interface Target {
  readonly name: string;
  readonly role: Role;
  readonly server: ServerProcess;
  readonly encodings: readonly Encoding[];
  /** Percentage of hosts that report a backup before each scrape. */
  readonly changedPercent?: number;
}

type Add = (target: Omit<Target, 'encodings'> & Partial<Pick<Target, 'encodings'>>) => void;

const CHANGED_PERCENT = [CHANGED_IN_15_S, 1];

const BOTH: readonly Encoding[] = ['identity', 'gzip'];

function pace(hosts: number, quick: boolean): Pace {
  if (quick) return { rounds: 4, roundMs: 100, patienceMs: 500 };
  return { rounds: hosts <= 1_000 ? 20 : 15, roundMs: 250, patienceMs: 20_000 };
}

async function ofSize(
  hosts: number,
  directory: string,
  go: GoPeers,
  { quick, peers, progress }: BenchOptions,
): Promise<Row[]> {
  progress.scenario(`${hosts} hosts, loading`);
  const targets: Target[] = [];
  const add: Add = (target) => targets.push({ encodings: BOTH, ...target });
  try {
    for (const percent of CHANGED_PERCENT) {
      add({
        name: `ours, ${percent} % changed`,
        role: 'own',
        server: await ServerProcess.start({ kind: 'ours', hosts }),
        changedPercent: percent,
      });
    }
    if (peers) await addPeers(hosts, go, add);
    const bodies = await checkedBodies(targets, directory);
    const floor = await ServerProcess.start({ kind: 'floor', hosts, bodies });
    targets.unshift({ name: 'uWS, same bytes', role: 'floor', server: floor, encodings: BOTH });

    const rows: Row[] = [];
    for (const encoding of BOTH) {
      progress.scenario(`${hosts} hosts, ${encoding}`);
      const taking = targets.filter(({ encodings }) => encodings.includes(encoding));
      const opened = await Promise.all(
        taking.map(async (target) => ({
          target,
          scraper: await Scraper.open(target.server.port, encoding),
        })),
      );
      const measured = await rotate(
        opened.map(
          ({ target: { name, role, server, changedPercent }, scraper }): Contestant => ({
            name,
            role,
            async: true,
            run: () => scraper.scrape(),
            prepare: async () => {
              if (changedPercent !== undefined) await server.tell('change', changedPercent);
              await scraper.connected();
            },
          }),
        ),
        pace(hosts, quick),
        progress,
      );
      for (const { scraper } of opened) scraper.close();
      const scenario = { hosts, encoding };
      rows.push(...rowsOf({ measure: 'time to the full body', unit: 'ms', scenario }, measured));
    }
    return rows;
  } finally {
    await Promise.all(targets.map(({ server }) => server.stop()));
  }
}

async function addPeers(hosts: number, go: GoPeers, add: Add): Promise<void> {
  const node = (kind: ServerKind) => ServerProcess.start({ kind, hosts });
  add({ name: 'prom-client', role: 'peer', server: await node('prom-client') });
  add({
    name: 'OpenTelemetry',
    role: 'peer',
    server: await node('OpenTelemetry'),
    encodings: ['identity'],
  });
  const input = goInput(benchFleet(hosts), jobTable());
  for (const { name, file } of go.peers) {
    add({ name, role: 'peer', server: await ServerProcess.startProgram(file, input) });
  }
}

/** Writes our bodies to files, after checking that all contestants show the same samples. */
async function checkedBodies(targets: readonly Target[], directory: string) {
  let expected: string | undefined;
  const bodies = { identity: join(directory, 'identity'), gzip: join(directory, 'gzip') };
  for (const { name, role, server, encodings } of targets) {
    for (const encoding of encodings) {
      const scraper = await Scraper.open(server.port, encoding);
      const sent = await scraper.body();
      scraper.close();
      if (role === 'own') writeFileSync(bodies[encoding], sent);
      const text = (encoding === 'gzip' ? gunzipSync(sent) : sent).toString();
      expected ??= text;
      assertSameRows(expected, text, `${name}, ${encoding}`);
    }
  }
  return bodies;
}
