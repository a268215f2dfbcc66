import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from '../../src/index.ts';
import { fleetTotals } from '../support/fleet.ts';
import type { FinishedJob } from '../support/jobs.ts';
import { BUCKET_SECONDS, BUILD } from './peer.ts';

/** Where Debian's golang-*-dev packages put their sources. */
const GOPATH = '/usr/share/gocode';
const CLIENT = join(GOPATH, 'src/github.com/prometheus/client_golang');
const SOURCE = fileURLToPath(new URL('./go/main.go', import.meta.url));

/** The compiled program, or why there is none. */
export type GoPeer = { readonly file: string } | { readonly missing: string };

/** Compiles the Go peer into `directory` */
export function buildGoPeer(directory: string): GoPeer {
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

/** What the program reads from its standard input. */
export function goInput(hosts: readonly Host[], jobs: readonly FinishedJob[]): string {
  const build = { ...BUILD, node_version: process.version };
  return JSON.stringify({
    build,
    buckets: BUCKET_SECONDS,
    totals: fleetTotals(hosts),
    hosts,
    jobs,
  });
}
