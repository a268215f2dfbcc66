/**
 * Every error this package throws on purpose. The code is stable and meant for programs. The message
 * names the place of the bad value, says what would be right, and never contains a secret.
 */
export const ERROR_CODES = {
  invalid_host: 'a host record has a field that cannot be shown in the exposition',
  unknown_kind: 'a job kind outside the contract',
  unknown_status: 'a job status outside the contract',
  invalid_duration: 'a duration that is not a finite number of milliseconds below 2^53',
  too_many_writers: 'every shard of the job histogram is taken',
  fleet_full: 'the fleet table has no room for another host',
  reading_contended: 'shared memory changed during every attempt to read it',
  invalid_settings: 'one or more settings are wrong; all of them are listed',
  usage: 'the command line is wrong',
  listen_failed: 'the address is in use, not permitted or not on this machine',
  no_uws_build: 'no build of uWebSockets.js loads under this Node on this system',
  data_dir_locked: 'another process serves the same data directory',
  database_failed: 'the database could not be opened, read or written',
  database_gone: 'a file of the database was deleted or replaced while it was in use',
  no_database: 'there is no database, and the command does not create one',
  database_too_new: 'the database was written by a newer version of this package',
  database_not_empty: 'the database to import into already has hosts, or is in use',
  import_failed: 'the imported rows differ from those that were read, so nothing was imported',
  database_too_old: 'the database server is older than this package needs',
  no_such_host: 'no host has that id',
  output_failed: 'a command could not print output that it prints only once',
  render_failed: 'the body of a scrape could not be rendered',
  render_too_late: 'the body of a scrape was not ready in time',
  too_many_scrapes: 'too many scrapes are waiting for a body',
  api_failed: 'a request of the API could not be answered',
  api_too_late: 'the answer to a request of the API took too long',
  too_many_requests: 'too many requests of the API are waiting',
  closed: 'used after it was closed',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** An error with a code from {@link ERROR_CODES}. */
export class RmError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RmError';
    this.code = code;
  }
}

/** The code of an {@link RmError}, including one that lost its class when it was sent between threads. */
export function errorCode(error: unknown): ErrorCode | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  const { code } = error;
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code)
    ? (code as ErrorCode)
    : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The results of functions, by their place. */
type Results<T extends readonly (() => unknown)[]> = { [I in keyof T]: ReturnType<T[I]> };

/**
 * Runs all checks, also those after one that fails, so that all errors can be reported together.
 * @returns what the checks return
 * @throws RmError `invalid_settings` with a line for each error
 */
export function checkAll<const T extends readonly (() => unknown)[]>(checks: T): Results<T> {
  const errors: string[] = [];
  const results = checks.map((check) => {
    try {
      return check();
    } catch (error) {
      if (errorCode(error) !== 'invalid_settings') throw error;
      errors.push(messageOf(error));
      return undefined;
    }
  });
  if (errors.length > 0) throw new RmError('invalid_settings', errors.join('\n'));
  return results as Results<T>;
}
