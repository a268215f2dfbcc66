import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';

/** The machine and the revision that were measured. */
export interface Circumstances {
  readonly date: string;
  readonly command: string;
  readonly commit: string;
  /** Whether the sources differ from that commit. */
  readonly modified: boolean;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  /** Load average of the minute before: other work on the machine. */
  readonly load: number;
  readonly versions: Readonly<Record<string, string>>;
}

export function circumstances(command: string): Circumstances {
  return {
    date: new Date().toISOString(),
    command,
    commit: output('git', ['rev-parse', 'HEAD']) ?? 'unknown',
    modified: output('git', ['status', '--porcelain', '--', '../src', '.']) !== '',
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    load: loadavg()[0] ?? 0,
    versions: {
      node: process.versions.node,
      v8: process.versions.v8,
      'uWebSockets.js': packageVersion('uWebSockets.js'),
      'uWebSockets.js-compat': packageVersion('uWebSockets.js-compat'),
      piscina: packageVersion('piscina'),
      tinybench: packageVersion('tinybench'),
      'prom-client': packageVersion('prom-client'),
      '@opentelemetry/sdk-metrics': packageVersion('@opentelemetry/sdk-metrics'),
      go: output('go', ['version'])?.match(/go([\d.]+)/)?.[1] ?? 'missing',
      client_golang: debianVersion('golang-github-prometheus-client-golang-dev'),
    },
  };
}

/** Searches the disk, because `exports` may hide the package.json. */
function packageVersion(name: string): string {
  const paths = createRequire(import.meta.url).resolve.paths(name) ?? [];
  for (const path of paths) {
    try {
      return String(JSON.parse(readFileSync(join(path, name, 'package.json'), 'utf8')).version);
    } catch {}
  }
  return 'missing';
}

function debianVersion(name: string): string {
  return output('dpkg-query', ['-W', '-f', '$' + '{Version}', name]) || 'missing';
}

function output(command: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : undefined;
}
