import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, platform } from 'node:os';

/** The reason to skip tests of the priority of a thread. Empty where each thread has its own. */
export const NO_THREAD_PRIORITY =
  platform() === 'linux' ? '' : 'only Linux has a priority per thread';

/**
 * Number of threads of this process whose priority is lower than that of the calling thread.
 * https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
export function lowPriorityThreads(): number {
  return readdirSync('/proc/self/task').filter((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
    // The name of the thread, in parentheses, may contain spaces.
    const nice = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16];
    return Number(nice) > getPriority();
  }).length;
}
