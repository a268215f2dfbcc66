/*
 * Counters of the control plane about itself, in shared memory. Each counting thread has its own
 * shard and is its only writer. The render thread sums the shards.
 *
 * A cell is a double, which holds whole numbers up to 2^53 exactly. Cells are read without a lock.
 * Each cell is independent of the others, so a read between two writes of another thread returns
 * values that were correct a moment ago.
 */

/** Message types for the label `type`. Messages of any other type count as `other`. */
export const MESSAGE_TYPES = [
  'heartbeat',
  'hello',
  'job.finished',
  'job.started',
  'other',
  'repo.stats',
] as const;
export type MessageType = (typeof MESSAGE_TYPES)[number];

/**
 * Reasons why the server refused or closed a connection or refused a message, sorted.
 * `docs/security.md` explains each.
 */
export const REFUSALS = [
  'bad_frame',
  'bad_hello',
  'bad_message',
  'bad_report',
  'bad_time',
  'hello_required',
  'job_conflict',
  'protocol_too_new',
  'protocol_too_old',
  'removed',
  'replaced',
  'silent',
  'store_unavailable',
  'token_replaced',
  'too_many_bad_messages',
  'too_many_connections',
  'too_many_messages',
  'too_many_requests',
  'too_many_unanswered',
  'unauthorized',
  'unknown_job',
  'unknown_kind',
  'unknown_status',
  'unknown_type',
  'unread_answers',
] as const;
export type Refusal = (typeof REFUSALS)[number];

/** HTTP statuses of the answers to requests with agent messages. */
export const REPORT_CODES = [200, 400, 401, 405, 408, 413, 429, 503] as const;
export type ReportCode = (typeof REPORT_CODES)[number];

/** HTTP statuses with which the scrape endpoint answers. */
export const SCRAPE_CODES = [200, 400, 401, 405, 503] as const;
export type ScrapeCode = (typeof SCRAPE_CODES)[number];

/** HTTP statuses with which the API answers. */
export const API_CODES = [200, 400, 401, 404, 405, 503] as const;
export type ApiCode = (typeof API_CODES)[number];

/** Reasons why a request of the API got no data, sorted. `docs/api.md` explains each. */
export const API_REFUSALS = [
  'bad_method',
  'bad_parameter',
  'bad_request',
  'failed',
  'no_such_host',
  'too_late',
  'too_many_requests',
  'too_slow',
  'unauthorized',
] as const;
export type ApiRefusal = (typeof API_REFUSALS)[number];

/** Inclusive upper bounds of the buckets in seconds. A bucket `+Inf` follows them. */
export const DURATION_BOUNDS_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5] as const;
/**
 * Offset of the sum (in seconds) in the cells of a histogram. The bucket counts, not cumulative,
 * are in front of it.
 */
export const DURATION_SUM = DURATION_BOUNDS_SECONDS.length + 1;
const DURATION_CELLS = DURATION_SUM + 1;

let cells = 0;
function reserveCells(count: number): number {
  const first = cells;
  cells += count;
  return first;
}

/** The first cell of each counter, gauge or histogram. */
export const CELL = {
  connections: reserveCells(1),
  messages: reserveCells(MESSAGE_TYPES.length),
  refusals: reserveCells(REFUSALS.length),
  reports: reserveCells(REPORT_CODES.length),
  scrapes: reserveCells(SCRAPE_CODES.length),
  apiRequests: reserveCells(API_CODES.length),
  apiRefusals: reserveCells(API_REFUSALS.length),
  apiDuration: reserveCells(DURATION_CELLS),
  scrapeDuration: reserveCells(DURATION_CELLS),
  commitDuration: reserveCells(DURATION_CELLS),
  storeFailures: reserveCells(1),
  forgottenJobs: reserveCells(1),
  scrapesCutOff: reserveCells(1),
  submitted: reserveCells(1),
  answered: reserveCells(1),
  loopLagSeconds: reserveCells(1),
  loopLagP99Seconds: reserveCells(1),
  heapUsedBytes: reserveCells(1),
} as const;

export const STATS_CELLS = cells;
/** Rounded up, so that each shard starts in its own cache line. */
const SHARD_CELLS = Math.ceil(STATS_CELLS / 8) * 8;
const HEADER_CELLS = 8;
/** The store thread, the main thread and up to 63 further agent loops, with room to spare. */
const MAX_SHARDS = 80;

export class ServerStats {
  /** Pass this to another thread, which calls `attach` with it. */
  readonly buffer: SharedArrayBuffer;
  readonly #shardsTaken: Int32Array;

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#shardsTaken = new Int32Array(buffer, 0, 1);
  }

  static create(): ServerStats {
    const cells = HEADER_CELLS + MAX_SHARDS * SHARD_CELLS;
    return new ServerStats(new SharedArrayBuffer(cells * Float64Array.BYTES_PER_ELEMENT));
  }

  static attach(buffer: SharedArrayBuffer): ServerStats {
    return new ServerStats(buffer);
  }

  /** Takes a shard for the calling thread, which must call this only once. */
  writer(): StatsWriter {
    const shard = Atomics.add(this.#shardsTaken, 0, 1);
    if (shard >= MAX_SHARDS) throw new RangeError(`only ${MAX_SHARDS} threads can count`);
    const offset = (HEADER_CELLS + shard * SHARD_CELLS) * Float64Array.BYTES_PER_ELEMENT;
    return new StatsWriter(new Float64Array(this.buffer, offset, STATS_CELLS));
  }

  /** Sums all shards into the first `STATS_CELLS` cells of `into`. */
  read(into: Float64Array): void {
    const all = new Float64Array(this.buffer);
    const shards = Math.min(Atomics.load(this.#shardsTaken, 0), MAX_SHARDS);
    into.fill(0, 0, STATS_CELLS);
    for (let shard = 0; shard < shards; shard++) {
      const first = HEADER_CELLS + shard * SHARD_CELLS;
      for (let cell = 0; cell < STATS_CELLS; cell++) {
        into[cell] = (into[cell] as number) + (all[first + cell] as number);
      }
    }
  }
}

/** Measurements of the main thread about its event loop and its heap. */
export interface LoopHealth {
  readonly lagSeconds: number;
  readonly lagP99Seconds: number;
  readonly heapUsedBytes: number;
}

/** Counts for one thread. */
export class StatsWriter {
  readonly #cells: Float64Array;

  /** @internal */
  constructor(cells: Float64Array) {
    this.#cells = cells;
  }

  /** A connection of an agent was opened (1) or closed (-1). */
  connection(by: 1 | -1): void {
    this.#add(CELL.connections, by);
  }

  message(type: MessageType): void {
    this.#add(CELL.messages + MESSAGE_TYPES.indexOf(type), 1);
  }

  refusal(reason: Refusal): void {
    this.#add(CELL.refusals + REFUSALS.indexOf(reason), 1);
  }

  /** A request with messages was answered. */
  report(code: ReportCode): void {
    this.#add(CELL.reports + REPORT_CODES.indexOf(code), 1);
  }

  /** A request of the API was answered. */
  apiRequest(code: ApiCode): void {
    this.#add(CELL.apiRequests + API_CODES.indexOf(code), 1);
  }

  apiRefusal(reason: ApiRefusal): void {
    this.#add(CELL.apiRefusals + API_REFUSALS.indexOf(reason), 1);
  }

  apiDuration(ms: number): void {
    this.#observe(CELL.apiDuration, ms / 1000);
  }

  scrape(code: ScrapeCode): void {
    this.#add(CELL.scrapes + SCRAPE_CODES.indexOf(code), 1);
  }

  scrapeDuration(ms: number): void {
    this.#observe(CELL.scrapeDuration, ms / 1000);
  }

  commitDuration(ms: number): void {
    this.#observe(CELL.commitDuration, ms / 1000);
  }

  storeFailure(): void {
    this.#add(CELL.storeFailures, 1);
  }

  forgottenJobs(jobs: number): void {
    this.#add(CELL.forgottenJobs, jobs);
  }

  scrapeCutOff(): void {
    this.#add(CELL.scrapesCutOff, 1);
  }

  submitted(operations: number): void {
    this.#add(CELL.submitted, operations);
  }

  answered(operations: number): void {
    this.#add(CELL.answered, operations);
  }

  /** Only the main thread may call this: the values of all shards are summed. */
  loopHealth({ lagSeconds, lagP99Seconds, heapUsedBytes }: LoopHealth): void {
    this.#cells[CELL.loopLagSeconds] = lagSeconds;
    this.#cells[CELL.loopLagP99Seconds] = lagP99Seconds;
    this.#cells[CELL.heapUsedBytes] = heapUsedBytes;
  }

  #add(cell: number, by: number): void {
    this.#cells[cell] = (this.#cells[cell] as number) + by;
  }

  #observe(first: number, seconds: number): void {
    let bucket = 0;
    while (seconds > (DURATION_BOUNDS_SECONDS[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
    this.#add(first + bucket, 1);
    this.#add(first + DURATION_SUM, seconds);
  }
}
