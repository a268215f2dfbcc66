import { type Logger, pino } from 'pino';

export type { Logger };

/**
 * Creates a log of JSON lines on standard error. Standard output is reserved for the output of
 * commands.
 */
export function createLog(level: string): Logger {
  const destination = pino.destination({ fd: 2, sync: true });
  const log = pino({ level, base: null }, destination);
  // If the log cannot be written, because the disk is full or the reader is gone, the process must
  // go on. There is nowhere to report the error.
  destination.removeAllListeners('error');
  destination.on('error', () => {});
  return log;
}
