import { readdirSync, readFileSync } from 'node:fs';

/** Sends a signal to a process and its children. */
export function signalFamily(pid: number, signal: NodeJS.Signals): void {
  for (const member of familyOf(pid)) send(member, signal);
}

/**
 * Kills a process and its children. The children are killed too, because a child that was stopped with SIGSTOP does
 * not notice the end of its parent.
 */
export function killFamily(pid: number): void {
  signalFamily(pid, 'SIGKILL');
}

export function killAll(pids: readonly number[]): void {
  for (const pid of pids) send(pid, 'SIGKILL');
}

/** The process and its children; empty if there is no such process. */
function familyOf(pid: number): number[] {
  if (pid <= 0 || parentOf(pid) === undefined) return [];
  const all = readdirSync('/proc').map(Number).filter(Number.isInteger);
  return [pid, ...all.filter((other) => parentOf(other) === pid)];
}

function parentOf(pid: number): number | undefined {
  try {
    // The name in parentheses may contain spaces.
    const [, parent] = /^.*\) \S (\d+) /s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
    return parent === undefined ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  if (pid <= 0) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended.
  }
}
