/** Describes a valid `database_url`, for messages. */
export const DATABASE_URL_EXPECTED =
  'a URL such as postgres://USER:PASSWORD@HOST:5432/DATABASE, with commas between several hosts';

/** More than the servers of one primary with its standbys. */
const MAX_ADDRESSES = 16;
/**
 * An `@` that is not encoded may only end the password. Elsewhere it would be the sign of a password that has a `/` or
 * `?`, and part of it would be taken for a host, which is logged.
 */
const URL_PARTS = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(\/[^@?#]*)?(\?[^@#]*)?$/;

/** The servers in a `database_url`. */
export interface DatabaseUrl {
  /** A connection URL for each host. Contains the password. */
  readonly addresses: readonly string[];
  /** The URL without user, password and parameters, for the log. */
  readonly place: string;
}

/**
 * Parses a URL in the format of libpq
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS). Unlike `URL` it
 * accepts several hosts.
 * @returns undefined for any other text
 */
export function parseDatabaseUrl(url: string): DatabaseUrl | undefined {
  const [matched, user, hosts = '', database = '', parameters = ''] = URL_PARTS.exec(url) ?? [];
  if (matched === undefined) return undefined;
  const login = user === undefined ? '' : `${user}@`;
  const addresses = hosts
    .split(',')
    .map((host) => `postgres://${login}${host}${database}${parameters}`);
  if (addresses.length > MAX_ADDRESSES || !addresses.every(isAddress)) return undefined;
  return { addresses, place: `postgres://${hosts}${database}` };
}

function isAddress(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { hostname, username, password, pathname } = new URL(address);
  return hostname !== '' && [hostname, username, password, pathname].every(isDecodable);
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
