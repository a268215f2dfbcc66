import { constants, getPriority, platform, setPriority } from 'node:os';

/**
 * Lowers the priority of the calling thread, so that the agents' loops run first if there are not enough cores. The
 * priority of the process may be low already. It must not become higher: that needs a privilege.
 *
 * Only Linux has a priority per thread. On other systems this does nothing, because it would lower the priority of
 * the whole process.
 */
export function lowerThreadPriority(): void {
  if (platform() !== 'linux') return;
  const lower = getPriority() + constants.priority.PRIORITY_BELOW_NORMAL;
  setPriority(Math.min(lower, constants.priority.PRIORITY_LOW));
}
