import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { buildGoPeer, type GoPeer, goInput } from './peers/go.ts';
import type { ServerKind } from './servers/serve.ts';
import { type BenchDefinition, type BenchOptions, fleetSizes } from './support/bench.ts';
import { benchFleet } from './support/fleet.ts';
import { jobTable } from './support/jobs.ts';
import { type Role, type Row, rowsOf } from './support/result.ts';
import { type Contestant, type Pace, rotate } from './support/rotation.ts';
import { assertSameRows } from './support/same-rows.ts';
import { type Encoding, Scraper } from './support/scraper.ts';
import { ServerProcess } from './support/server-process.ts';

export const scrape: BenchDefinition = {
  name: 'scrape',
  question: 'How long does Prometheus wait for the whole body, over loopback HTTP?',
  async run(options) {
    const directory = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
    try {
      const go = options.peers ? buildGoPeer(directory) : undefined;
      const notes = [
        'OpenTelemetry: its exporter does not compress.',
        'Between two scrapes 0.02 % of our hosts change, a normal 15 s; the others do the same work whatever changes.',
        ...(go !== undefined && 'missing' in go
          ? [`Go client_golang is left out: ${go.missing}.`]
          : []),
      ];
      const rows: Row[] = [];
      for (const hosts of fleetSizes(options)) {
        rows.push(...(await ofSize(hosts, directory, go, options)));
      }
      return { rows, notes };
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
};

interface Target {
  readonly name: string;
  readonly role: Role;
  readonly server: ServerProcess;
  readonly encodings: readonly Encoding[];
}

type Add = (
  name: string,
  role: Role,
  server: ServerProcess,
  encodings?: readonly Encoding[],
) => void;

const BOTH: readonly Encoding[] = ['identity', 'gzip'];

function pace(hosts: number, quick: boolean): Pace {
  if (quick) return { rounds: 4, roundMs: 100, patienceMs: 500 };
  return { rounds: hosts <= 1_000 ? 20 : 15, roundMs: 250, patienceMs: 20_000 };
}

async function ofSize(
  hosts: number,
  directory: string,
  go: GoPeer | undefined,
  { quick, peers, progress }: BenchOptions,
): Promise<Row[]> {
  progress.scenario(`${hosts} hosts, loading`);
  const targets: Target[] = [];
  const add: Add = (name, role, server, encodings = BOTH) =>
    targets.push({ name, role, server, encodings });
  try {
    add('ours', 'own', await ServerProcess.start({ kind: 'ours', hosts }));
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
          ({ target: { name, role, server }, scraper }): Contestant => ({
            name,
            role,
            async: true,
            run: () => scraper.scrape(),
            ...(role === 'own' && { prepare: () => server.tell('change') }),
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

async function addPeers(hosts: number, go: GoPeer | undefined, add: Add): Promise<void> {
  const node = (kind: ServerKind) => ServerProcess.start({ kind, hosts });
  add('prom-client', 'peer', await node('prom-client'));
  add('OpenTelemetry', 'peer', await node('OpenTelemetry'), ['identity']);
  if (go === undefined || 'missing' in go) return;
  const input = goInput(benchFleet(hosts), jobTable());
  add('Go client_golang', 'peer', await ServerProcess.startProgram(go.file, input));
}

/** Our bodies as files, once all contestants turned out to show the same. */
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
