import type { RepoStatus } from '../../contract/host.ts';
import type { JobKind, JobStatus } from '../../contract/jobs.ts';
import type { AgentDetails, BackupSummary } from '../../contract/operations.ts';
import {
  count,
  endOfText,
  type Fields,
  identifier,
  interval,
  isFields,
  jobKind,
  jobStatus,
  jobTime,
  optional,
  parseJson,
  type Reader,
  repoStatus,
  required,
  snapshotId,
  startOfText,
  time,
  wholeNumber,
  wrong,
} from './fields.ts';
import { ProtocolError } from './protocol-error.ts';

/*
 * The messages of the agent protocol, version 1: parses those of agents, and writes those of the server.
 * `docs/agent-protocol.md` is the reference.
 */
export const PROTOCOL_VERSION = 1;
export const HEARTBEAT_SECONDS = 30;
export const MAX_MESSAGE_BYTES = 256 * 1024;

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

/**
 * Parses the text of one message.
 * @throws ProtocolError
 */
export function parseAgentMessage(text: string): AgentMessage {
  return readEnvelope(parseJson(text));
}

/**
 * Reads a message that was parsed as JSON.
 * @throws ProtocolError
 */
export function readEnvelope(envelope: unknown): AgentMessage {
  if (!isFields(envelope))
    throw new ProtocolError('bad_message', 'a message must be a JSON object');
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

/** Returns the error for the text of a message that is too long. It names the message's id if it can be read. */
export function tooLong(text: string): ProtocolError {
  try {
    return tooLongEnvelope(JSON.parse(text));
  } catch {
    return tooLongEnvelope(undefined);
  }
}

/** The same as `tooLong`, for a message that was parsed as JSON. */
export function tooLongEnvelope(envelope: unknown): ProtocolError {
  const error = new ProtocolError(
    'bad_message',
    `a message must have at most ${MAX_MESSAGE_BYTES} bytes`,
  );
  try {
    if (isFields(envelope)) error.id = optional(envelope, 'id', identifier);
  } catch {
    // The id is none.
  }
  return error;
}

export function welcomeMessage(hostId: string, host: string): string {
  const payload = { host_id: hostId, host, heartbeat_seconds: HEARTBEAT_SECONDS };
  return JSON.stringify({ type: 'welcome', payload });
}

/** @param id undefined only over HTTP, where messages without an id are answered too */
export function ackMessage(id: string | undefined): string {
  if (id === undefined) return '{"type":"ack","payload":{}}';
  return `{"type":"ack","payload":{"id":${JSON.stringify(id)}}}`;
}

export function errorMessage({ code, message, id }: ProtocolError): string {
  return JSON.stringify({ type: 'error', payload: { code, message, id } });
}
