import { readFileSync } from 'node:fs';

/**
 * Files, sockets among them, that this process may have open: Node has raised the limit as far as it may by itself.
 * Infinite where nobody tells. https://man7.org/linux/man-pages/man5/proc_pid_limits.5.html
 */
export function openFileLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
