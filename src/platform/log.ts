import { type Logger, pino } from 'pino';

export type { Logger };

/** Logs JSON lines to standard error; standard output is for what a command answers. */
export function createLog(level: string): Logger {
  return pino({ level, base: null }, pino.destination({ fd: 2, sync: true }));
}
