import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TestAgent } from '../support/agent.ts';
import { type Served, temporaryDirectory } from '../support/serve.ts';
import type { Attack, AttackReport } from './attacker.ts';

const ATTACKER = fileURLToPath(new URL('./attacker.ts', import.meta.url));
const REPORT_EVERY_MS = 25;

export interface Outcome {
  readonly attack: AttackReport;
  /** From sending a finish to its acknowledgement, of an agent that does nothing wrong, sorted. */
  readonly acknowledgedMs: readonly number[];
  readonly p99Ms: number;
  readonly residentMiB: { readonly before: number; readonly highest: number };
}

/** Starts an attack from a process of its own; @returns what it reports at its end */
export function startAttack(attack: Attack): Promise<AttackReport> {
  return new Promise((resolve, reject) => {
    const options = { timeout: attack.seconds * 1000 + 20_000, killSignal: 'SIGKILL' } as const;
    const file = join(temporaryDirectory(), 'attack.json');
    writeFileSync(file, JSON.stringify(attack));
    const args = [ATTACKER, file];
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      if (error) return reject(new Error(`the attacker failed: ${error.message} ${stderr}`));
      resolve(JSON.parse(stdout));
    });
  });
}

/** A legitimate agent reports one finished job after the other while the server is attacked. */
export async function underAttack(
  served: Served,
  attacks: readonly Omit<Attack, 'port' | 'seconds'>[],
  seconds: number,
): Promise<Outcome> {
  const { token } = await served.addHost('legitimate');
  const agent = await TestAgent.online(served.agentUrl, token);
  for (let n = 0; n < 20; n++) await finish(agent, `warm-${n}`);
  const before = residentMiB(served.pid);
  let highest = before;
  const port = Number(new URL(served.url).port);
  let isOver = false;
  const reports = Promise.all(
    attacks.map((attack) => startAttack({ ...attack, port, seconds })),
  ).finally(() => {
    isOver = true;
  });
  const acknowledgedMs: number[] = [];
  for (let job = 0; !isOver; job++) {
    const sentAt = performance.now();
    await finish(agent, `job-${job}`);
    acknowledgedMs.push(performance.now() - sentAt);
    highest = Math.max(highest, residentMiB(served.pid));
    await sleep(REPORT_EVERY_MS);
  }
  const all = await reports;
  acknowledgedMs.sort((a, b) => a - b);
  const closeCodes: Record<string, number> = {};
  for (const report of all) {
    for (const [code, count] of Object.entries(report.closeCodes)) {
      closeCodes[code] = (closeCodes[code] ?? 0) + count;
    }
  }
  return {
    attack: {
      connections: sum(all.map(({ connections }) => connections)),
      bytesSent: sum(all.map(({ bytesSent }) => bytesSent)),
      closeCodes,
    },
    acknowledgedMs,
    p99Ms: acknowledgedMs[Math.floor(acknowledgedMs.length * 0.99)] ?? Number.NaN,
    residentMiB: { before, highest },
  };
}

async function finish(agent: TestAgent, id: string): Promise<void> {
  const at = new Date().toISOString();
  const job = { job_id: id, kind: 'backup', status: 'succeeded', started_at: at, finished_at: at };
  await agent.report('job.finished', job, id);
}

export function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
