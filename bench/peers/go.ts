import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from '../../src/index.ts';
import { FleetTotals } from '../support/fleet.ts';
import type { FinishedJob } from '../support/jobs.ts';
import { BUCKET_SECONDS, BUILD } from './peer.ts';

/** The directory in which Debian's golang-*-dev packages install their sources. */
const GOPATH = '/usr/share/gocode';
const SOURCES = fileURLToPath(new URL('./go/', import.meta.url));

/** A library, the Debian package that has it, and the source of our program that uses it. */
const LIBRARIES = [
  {
    name: 'Go client_golang',
    path: 'github.com/prometheus/client_golang',
    debian: 'golang-github-prometheus-client-golang-dev',
    source: 'client_golang.go',
  },
  {
    name: 'Go VictoriaMetrics',
    path: 'github.com/VictoriaMetrics/metrics',
    debian: 'golang-github-victoriametrics-metrics-dev',
    source: 'victoriametrics.go',
  },
] as const;

type Library = (typeof LIBRARIES)[number];

/** A compiled program. */
export interface GoPeer {
  readonly name: Library['name'];
  readonly file: string;
}

export interface GoPeers {
  readonly peers: readonly GoPeer[];
  /** For the reader of the report: why a library was not measured. */
  readonly notes: readonly string[];
}

/** Compiles the Go peers, if they are `wanted`, and passes them to `use`. Deletes them afterwards. */
export async function withGoPeers<T>(
  wanted: boolean,
  use: (go: GoPeers, directory: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
  try {
    return await use(wanted ? build(directory) : { peers: [], notes: [] }, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function build(directory: string): GoPeers {
  const built = LIBRARIES.map((library) => ({ library, ...compile(library, directory) }));
  return {
    peers: built.flatMap(({ library: { name }, file }) =>
      file === undefined ? [] : { name, file },
    ),
    notes: built.flatMap(({ library: { name }, missing }) =>
      missing === undefined ? [] : `${name} was not measured: ${missing}.`,
    ),
  };
}

function compile(
  { path, debian, source }: Library,
  directory: string,
): { file?: string; missing?: string } {
  if (spawnSync('go', ['version']).status !== 0) return { missing: 'go is not installed' };
  if (!existsSync(join(GOPATH, 'src', path))) return { missing: `${debian} is not installed` };
  const file = join(directory, source.replace('.go', ''));
  const sources = ['common.go', source].map((name) => join(SOURCES, name));
  const { status, stderr } = spawnSync('go', ['build', '-o', file, ...sources], {
    env: { ...process.env, GO111MODULE: 'off', GOPATH },
    encoding: 'utf8',
  });
  return status === 0 ? { file } : { missing: `it does not compile: ${stderr}` };
}

/** The input of the program, which it reads from standard input. */
export function goInput(hosts: readonly Host[], jobs: readonly FinishedJob[]): string {
  const build = { ...BUILD, node_version: process.version };
  const totals = new FleetTotals();
  for (const host of hosts) totals.count(host);
  return JSON.stringify({
    build,
    buckets: BUCKET_SECONDS,
    totals,
    hosts,
    jobs,
  });
}
