import { readFileSync } from 'node:fs';

/**
 * The number of files, including sockets, that this process may open. When Node starts, it raises
 * the soft limit to the hard limit. Infinity if the system does not report the limit.
 * https://man7.org/linux/man-pages/man5/proc_pid_limits.5.html
 */
export function openFileLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
