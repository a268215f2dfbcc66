import { type Logger, pino } from 'pino';

export type { Logger };

/** Logs JSON lines to standard error; standard output is for what a command answers. */
export function createLog(level: string): Logger {
  const destination = pino.destination({ fd: 2, sync: true });
  const log = pino({ level, base: null }, destination);
  // A log that cannot be written, since its disk is full or its reader is gone, must not end the process. There is
  // nobody to tell.
  destination.removeAllListeners('error');
  destination.on('error', () => {});
  return log;
}
