import { isatty } from 'node:tty';
import { type Logger, pino } from 'pino';
import { readableLine } from './readable-log.ts';

export type { Logger };

const STANDARD_ERROR = 2;

/**
 * Creates a log on standard error: lines of JSON, or readable lines if standard error is a terminal.
 * Standard output is reserved for the output of commands.
 */
export function createLog(level: string): Logger {
  const destination = pino.destination({ fd: STANDARD_ERROR, sync: true });
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (name: string) => ({ level: name }) },
  };
  const log = isatty(STANDARD_ERROR)
    ? pino(options, { write: (line) => void destination.write(readableLine(line)) })
    : pino(options, destination);
  // If the log cannot be written, because the disk is full or the reader is gone, the process must
  // continue. There is nowhere to report the error.
  destination.removeAllListeners('error');
  destination.on('error', () => {});
  return log;
}
