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
const CLIENT = join(GOPATH, 'src/github.com/prometheus/client_golang');
const SOURCE = fileURLToPath(new URL('./go/main.go', import.meta.url));

/** The compiled program, or the reason why there is none. */
export type GoPeer = { readonly file: string } | { readonly missing: string };

/** Compiles the Go peer, if it is `wanted`, and passes it to `use`. Deletes it afterwards. */
export async function withGoPeer<T>(
  wanted: boolean,
  use: (go: GoPeer | undefined, directory: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
  try {
    return await use(wanted ? build(directory) : undefined, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Notes for the reader of the report if the Go peer did not take part. */
export function goNotes(go: GoPeer | undefined): string[] {
  return go !== undefined && 'missing' in go
    ? [`Go client_golang is left out: ${go.missing}.`]
    : [];
}

function build(directory: string): GoPeer {
  if (spawnSync('go', ['version']).status !== 0) return { missing: 'go is not installed' };
  if (!existsSync(CLIENT)) {
    return { missing: 'golang-github-prometheus-client-golang-dev is not installed' };
  }
  const file = join(directory, 'go-peer');
  const { status, stderr } = spawnSync('go', ['build', '-o', file, SOURCE], {
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
