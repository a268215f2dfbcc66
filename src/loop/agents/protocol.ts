import { REPO_STATUSES, type RepoStatus } from '../../contract/host.ts';
import {
  isJobKind,
  isJobStatus,
  JOB_KINDS,
  JOB_STATUSES,
  type JobKind,
  type JobStatus,
} from '../../contract/jobs.ts';
import type { AgentDetails, BackupSummary } from '../../contract/operations.ts';
import { parseRfc3339 } from './rfc3339.ts';

/*
 * The agent protocol, version 1: parses and writes text frames. `docs/agent-protocol.md` is its
 * reference. The checks are written by hand, because every message of every agent passes through them
 * and a schema library takes several times as long as `JSON.parse`.
 */
export const PROTOCOL_VERSION = 1;
export const HEARTBEAT_SECONDS = 30;
export const MAX_MESSAGE_BYTES = 256 * 1024;
const MAX_ID_LENGTH = 64;
const MAX_ERROR_CHARACTERS = 4_096;
const MAX_HELLO_CHARACTERS = 255;
const MAX_SNAPSHOT_ID_CHARACTERS = 64;
/** Long before restic existed. An earlier time comes from a clock that was never set. */
const FIRST_JOB_MS = Date.UTC(2000, 0, 1);

export const CLOSE = {
  replaced: 4000,
  badHello: 4001,
  removed: 4002,
  tooManyBadMessages: 4003,
  restarting: 1012,
  tryAgainLater: 1013,
  silent: 1001,
  tooManyMessages: 1008,
} as const;

export type ProtocolErrorCode =
  | 'bad_message'
  | 'unknown_type'
  | 'unknown_job'
  | 'unknown_kind'
  | 'unknown_status'
  | 'bad_time'
  | 'job_conflict'
  | 'hello_required'
  | 'protocol_too_old'
  | 'protocol_too_new';

/** An error in a message. The agent is sent its code and text. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode;
  /** Type and id of the message, if they could be read. */
  type: string | undefined;
  id: string | undefined;

  constructor(code: ProtocolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export interface Hello {
  readonly type: 'hello';
  readonly agent: AgentDetails;
}

export interface JobStarted {
  readonly type: 'job.started';
  readonly jobId: string;
  readonly kind: JobKind;
  readonly startedAtMs: number;
}

export interface JobFinished {
  readonly type: 'job.finished';
  readonly jobId: string;
  readonly status: JobStatus;
  readonly finishedAtMs: number;
  readonly exitCode: number | undefined;
  readonly error: string | undefined;
  readonly summary: BackupSummary | undefined;
  readonly kind: JobKind | undefined;
  readonly startedAtMs: number | undefined;
}

export interface RepoStats {
  readonly type: 'repo.stats';
  readonly totalSizeBytes: number | undefined;
  readonly snapshotCount: number | undefined;
  readonly repoStatus: RepoStatus | undefined;
}

export interface Heartbeat {
  readonly type: 'heartbeat';
}

export type AgentMessage = { readonly id: string | undefined } & (
  | Hello
  | Heartbeat
  | JobStarted
  | JobFinished
  | RepoStats
);

type Fields = Readonly<Record<string, unknown>>;

/** @throws ProtocolError */
export function parseAgentMessage(text: string): AgentMessage {
  const envelope = parseJson(text);
  if (!isFields(envelope)) throw new ProtocolError('bad_message', 'a message is a JSON object');
  const { type, payload } = envelope;
  let id: string | undefined;
  try {
    id = optional(envelope, 'id', identifier);
    if (typeof type !== 'string') throw wrong('type', 'a string');
    return { id, ...parsePayload(type, payload) };
  } catch (error) {
    if (error instanceof ProtocolError) {
      error.id = id;
      error.type = typeof type === 'string' ? type : undefined;
    }
    throw error;
  }
}

function parsePayload(
  type: string,
  payload: unknown,
): Hello | Heartbeat | JobStarted | JobFinished | RepoStats {
  const parse = PARSERS.get(type);
  if (parse === undefined) {
    throw new ProtocolError(
      'unknown_type',
      `type: must be one of ${[...PARSERS.keys()].join(', ')}`,
    );
  }
  if (!isFields(payload)) throw wrong('payload', 'an object');
  return parse(payload);
}

const PARSERS = new Map<
  string,
  (payload: Fields) => Hello | Heartbeat | JobStarted | JobFinished | RepoStats
>([
  ['hello', parseHello],
  ['heartbeat', parseHeartbeat],
  ['job.started', parseJobStarted],
  ['job.finished', parseJobFinished],
  ['repo.stats', parseRepoStats],
]);

function parseHello(payload: Fields): Hello {
  const version = required(payload, 'protocol_version', wholeNumber);
  if (version < PROTOCOL_VERSION) {
    throw new ProtocolError(
      'protocol_too_old',
      `protocol_version: this server speaks ${PROTOCOL_VERSION}; update the agent`,
    );
  }
  if (version > PROTOCOL_VERSION) {
    throw new ProtocolError(
      'protocol_too_new',
      `protocol_version: this server speaks ${PROTOCOL_VERSION}; update the server`,
    );
  }
  return {
    type: 'hello',
    agent: {
      agentVersion: required(payload, 'agent_version', startOfText),
      hostname: required(payload, 'hostname', startOfText),
      resticVersion: optional(payload, 'restic_version', startOfText),
      os: optional(payload, 'os', startOfText),
      arch: optional(payload, 'arch', startOfText),
      bootTimeMs: optional(payload, 'boot_time', time),
      backupIntervalSeconds: optional(payload, 'backup_interval_seconds', interval),
    },
  };
}

function parseHeartbeat(payload: Fields): Heartbeat {
  required(payload, 'sent_at', time);
  return { type: 'heartbeat' };
}

function parseJobStarted(payload: Fields): JobStarted {
  return {
    type: 'job.started',
    jobId: required(payload, 'job_id', identifier),
    kind: required(payload, 'kind', jobKind),
    startedAtMs: required(payload, 'started_at', jobTime),
  };
}

function parseJobFinished(payload: Fields): JobFinished {
  return {
    type: 'job.finished',
    jobId: required(payload, 'job_id', identifier),
    status: required(payload, 'status', jobStatus),
    finishedAtMs: required(payload, 'finished_at', jobTime),
    exitCode: optional(payload, 'exit_code', wholeNumber),
    error: optional(payload, 'error', endOfText),
    summary: optional(payload, 'summary', summary),
    kind: optional(payload, 'kind', jobKind),
    startedAtMs: optional(payload, 'started_at', jobTime),
  };
}

function parseRepoStats(payload: Fields): RepoStats {
  return {
    type: 'repo.stats',
    totalSizeBytes: optional(payload, 'total_size_bytes', count),
    snapshotCount: optional(payload, 'snapshot_count', count),
    repoStatus: optional(payload, 'repo_status', repoStatus),
  };
}

function summary(value: unknown, field: string): BackupSummary {
  if (!isFields(value)) throw wrong(field, 'an object');
  const member = <T>(name: string, read: Reader<T>) =>
    optional(value, name, (part) => read(part, `${field}.${name}`));
  return {
    bytesAdded: member('bytes_added', count),
    filesUnreadable: member('files_unreadable', count),
    snapshotId: member('snapshot_id', snapshotId),
  };
}

type Reader<T> = (value: unknown, field: string) => T;

function required<T>(fields: Fields, field: string, read: Reader<T>): T {
  const value = fields[field];
  if (value === undefined) throw new ProtocolError('bad_message', `${field}: is missing`);
  return read(value, field);
}

/** Treats `null` as a missing field, because many JSON encoders write missing fields as `null`. */
function optional<T>(fields: Fields, field: string, read: Reader<T>): T | undefined {
  const value = fields[field];
  return value === undefined || value === null ? undefined : read(value, field);
}

function string(value: unknown, field: string): string {
  if (typeof value !== 'string') throw wrong(field, 'a string');
  return value;
}

/** Returns the end of the text. An agent may send long output of restic, and its end tells why it failed. */
function endOfText(value: unknown, field: string): string {
  const text = string(value, field);
  if (text.length <= MAX_ERROR_CHARACTERS) return text;
  // A character has at most two UTF-16 code units.
  const end = [...text.slice(-2 * MAX_ERROR_CHARACTERS)];
  return end.slice(-MAX_ERROR_CHARACTERS).join('');
}

/** Returns the start of the text. The details of an agent become labels, so their length is limited. */
function startOfText(value: unknown, field: string): string {
  const text = string(value, field).toWellFormed();
  if (!longerThan(text, MAX_HELLO_CHARACTERS)) return text;
  return [...text.slice(0, 2 * MAX_HELLO_CHARACTERS)].slice(0, MAX_HELLO_CHARACTERS).join('');
}

function snapshotId(value: unknown, field: string): string {
  const id = string(value, field);
  const isHex = /^[0-9a-f]+$/i.test(id) && id.length <= MAX_SNAPSHOT_ID_CHARACTERS;
  if (!isHex) throw wrong(field, `up to ${MAX_SNAPSHOT_ID_CHARACTERS} hexadecimal digits`);
  return id;
}

/** Must not be 0, or the host would always be overdue. */
function interval(value: unknown, field: string): number {
  if (wholeNumber(value, field) < 1) throw wrong(field, 'a whole number of seconds, 1 or more');
  return value as number;
}

function identifier(value: unknown, field: string): string {
  // Lone surrogates are rejected: SQLite would store different ones as the same character.
  const isText = typeof value === 'string' && value.isWellFormed();
  if (!isText || value === '' || longerThan(value, MAX_ID_LENGTH)) {
    throw wrong(field, `a string of 1 to ${MAX_ID_LENGTH} characters`);
  }
  return value;
}

function wholeNumber(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    throw wrong(field, 'a whole number');
  return value;
}

function count(value: unknown, field: string): number {
  if (wholeNumber(value, field) < 0) throw wrong(field, 'a whole number, 0 or more');
  return value as number;
}

function time(value: unknown, field: string): number {
  const ms = typeof value === 'string' ? parseRfc3339(value) : undefined;
  if (ms === undefined) {
    throw new ProtocolError(
      'bad_time',
      `${field}: must be an RFC 3339 time such as 2026-01-02T03:04:05.678Z`,
    );
  }
  return ms;
}

function jobTime(value: unknown, field: string): number {
  const ms = time(value, field);
  if (ms < FIRST_JOB_MS) {
    throw new ProtocolError('bad_time', `${field}: must not be before 2000-01-01T00:00:00Z`);
  }
  return ms;
}

function jobKind(value: unknown, field: string): JobKind {
  const kind = string(value, field);
  if (!isJobKind(kind)) {
    throw new ProtocolError('unknown_kind', `${field}: must be one of ${JOB_KINDS.join(', ')}`);
  }
  return kind;
}

function jobStatus(value: unknown, field: string): JobStatus {
  const status = string(value, field);
  if (!isJobStatus(status)) {
    throw new ProtocolError(
      'unknown_status',
      `${field}: must be one of ${JOB_STATUSES.join(', ')}`,
    );
  }
  return status;
}

function repoStatus(value: unknown, field: string): RepoStatus {
  const status = REPO_STATUSES.find((known) => known === value);
  if (status === undefined) throw wrong(field, `one of ${REPO_STATUSES.join(', ')}`);
  return status;
}

function wrong(field: string, expected: string): ProtocolError {
  return new ProtocolError('bad_message', `${field}: must be ${expected}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ProtocolError('bad_message', 'a message is one JSON object; this is not JSON');
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function longerThan(text: string, characters: number): boolean {
  return text.length > characters && [...text].length > characters;
}

/** Returns the id of a message that is too long to be accepted, so that the error can name it. */
export function idOf(text: string): string | undefined {
  try {
    const envelope: unknown = JSON.parse(text);
    return isFields(envelope) ? optional(envelope, 'id', identifier) : undefined;
  } catch {
    return undefined;
  }
}

export function welcomeMessage(hostId: string, host: string): string {
  const payload = { host_id: hostId, host, heartbeat_seconds: HEARTBEAT_SECONDS };
  return JSON.stringify({ type: 'welcome', payload });
}

export function ackMessage(id: string): string {
  return `{"type":"ack","payload":{"id":${JSON.stringify(id)}}}`;
}

export function errorMessage({ code, message, id }: ProtocolError): string {
  return JSON.stringify({ type: 'error', payload: { code, message, id } });
}
