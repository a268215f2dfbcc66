import { REPO_STATUSES, type RepoStatus } from '../../contract/host.ts';
import {
  isJobKind,
  isJobStatus,
  JOB_KINDS,
  JOB_STATUSES,
  type JobKind,
  type JobStatus,
} from '../../contract/jobs.ts';
import { ProtocolError } from './protocol-error.ts';
import { parseRfc3339 } from './rfc3339.ts';

/*
 * Readers for the fields of a message. Each checks one type of value and throws a `ProtocolError` that
 * names the field. They are written by hand, because every message of every agent passes through them
 * and a schema library takes several times as long as `JSON.parse`.
 */

const MAX_ID_LENGTH = 64;
const MAX_ERROR_CHARACTERS = 4_096;
const MAX_HELLO_CHARACTERS = 255;
const MAX_SNAPSHOT_ID_CHARACTERS = 64;
/** Long before restic existed. An earlier time comes from a clock that was never set. */
const FIRST_JOB_MS = Date.UTC(2000, 0, 1);

export type Fields = Readonly<Record<string, unknown>>;
export type Reader<T> = (value: unknown, field: string) => T;

export function required<T>(fields: Fields, field: string, read: Reader<T>): T {
  const value = fields[field];
  if (value === undefined) throw new ProtocolError('bad_message', `${field}: is missing`);
  return read(value, field);
}

/** Treats `null` as a missing field, because many JSON encoders write missing fields as `null`. */
export function optional<T>(fields: Fields, field: string, read: Reader<T>): T | undefined {
  const value = fields[field];
  return value === undefined || value === null ? undefined : read(value, field);
}

function string(value: unknown, field: string): string {
  if (typeof value !== 'string') throw wrong(field, 'a string');
  return value;
}

/** Returns the end of the text. An agent may send long output of restic; the reason is usually at its end. */
export function endOfText(value: unknown, field: string): string {
  const text = string(value, field);
  if (text.length <= MAX_ERROR_CHARACTERS) return text;
  // A character has at most two UTF-16 code units.
  const end = [...text.slice(-2 * MAX_ERROR_CHARACTERS)];
  return end.slice(-MAX_ERROR_CHARACTERS).join('');
}

/** Returns the start of the text. The details of an agent become labels, so their length is limited. */
export function startOfText(value: unknown, field: string): string {
  const text = string(value, field).toWellFormed();
  if (!longerThan(text, MAX_HELLO_CHARACTERS)) return text;
  return [...text.slice(0, 2 * MAX_HELLO_CHARACTERS)].slice(0, MAX_HELLO_CHARACTERS).join('');
}

export function snapshotId(value: unknown, field: string): string {
  const id = string(value, field);
  const isHex = /^[0-9a-f]+$/i.test(id) && id.length <= MAX_SNAPSHOT_ID_CHARACTERS;
  if (!isHex) throw wrong(field, `up to ${MAX_SNAPSHOT_ID_CHARACTERS} hexadecimal digits`);
  return id;
}

/** Must not be 0, or the host would always be overdue. */
export function interval(value: unknown, field: string): number {
  if (wholeNumber(value, field) < 1) throw wrong(field, 'a whole number of seconds, 1 or more');
  return value as number;
}

export function identifier(value: unknown, field: string): string {
  // Lone surrogates are rejected: SQLite would store different ones as the same character.
  const isText = typeof value === 'string' && value.isWellFormed();
  if (!isText || value === '' || longerThan(value, MAX_ID_LENGTH)) {
    throw wrong(field, `a string of 1 to ${MAX_ID_LENGTH} characters`);
  }
  return value;
}

export function wholeNumber(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    throw wrong(field, 'a whole number');
  return value;
}

export function count(value: unknown, field: string): number {
  if (wholeNumber(value, field) < 0) throw wrong(field, 'a whole number, 0 or more');
  return value as number;
}

export function time(value: unknown, field: string): number {
  const ms = typeof value === 'string' ? parseRfc3339(value) : undefined;
  if (ms === undefined) {
    throw new ProtocolError(
      'bad_time',
      `${field}: must be an RFC 3339 time such as 2026-01-02T03:04:05.678Z`,
    );
  }
  return ms;
}

export function jobTime(value: unknown, field: string): number {
  const ms = time(value, field);
  if (ms < FIRST_JOB_MS) {
    throw new ProtocolError('bad_time', `${field}: must not be before 2000-01-01T00:00:00Z`);
  }
  return ms;
}

export function jobKind(value: unknown, field: string): JobKind {
  const kind = string(value, field);
  if (!isJobKind(kind)) {
    throw new ProtocolError('unknown_kind', `${field}: must be one of ${JOB_KINDS.join(', ')}`);
  }
  return kind;
}

export function jobStatus(value: unknown, field: string): JobStatus {
  const status = string(value, field);
  if (!isJobStatus(status)) {
    throw new ProtocolError(
      'unknown_status',
      `${field}: must be one of ${JOB_STATUSES.join(', ')}`,
    );
  }
  return status;
}

export function repoStatus(value: unknown, field: string): RepoStatus {
  const status = REPO_STATUSES.find((known) => known === value);
  if (status === undefined) throw wrong(field, `one of ${REPO_STATUSES.join(', ')}`);
  return status;
}

export function wrong(field: string, expected: string): ProtocolError {
  return new ProtocolError('bad_message', `${field}: must be ${expected}`);
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ProtocolError(
      'bad_message',
      'a message must be one JSON object; this is not valid JSON',
    );
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function longerThan(text: string, characters: number): boolean {
  return text.length > characters && [...text].length > characters;
}
