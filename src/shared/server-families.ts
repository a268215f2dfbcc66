import {
  API_CODES,
  API_REFUSALS,
  CELL,
  DURATION_BOUNDS_SECONDS,
  DURATION_SUM,
  MESSAGE_TYPES,
  REFUSALS,
  REPORT_CODES,
  SCRAPE_CODES,
  STATS_CELLS,
} from './server-stats.ts';

/**
 * One row. `cell` is the index of its value in the reading of a `ServerReader`; NaN in that cell
 * means no row.
 */
export interface ServerRow {
  readonly suffix: '' | '_bucket' | '_sum' | '_count';
  readonly labels: Readonly<Record<string, string>>;
  readonly cell: number;
}

/**
 * A family about the control plane: what it counts, or what the operating system reports about the
 * process.
 */
export interface ServerFamily {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly over: 'server';
  readonly rows: readonly ServerRow[];
}

/** Cells with values of the operating system. They follow the cells that threads count in. */
export const PROCESS_CELL = {
  cpuSeconds: STATS_CELLS,
  residentBytes: STATS_CELLS + 1,
  startTimeSeconds: STATS_CELLS + 2,
  openFds: STATS_CELLS + 3,
  maxFds: STATS_CELLS + 4,
  pendingOperations: STATS_CELLS + 5,
} as const;

const CUMULATIVE = STATS_CELLS + 6;
const BUCKETS = DURATION_BOUNDS_SECONDS.length + 1;
const HISTOGRAMS = [CELL.apiDuration, CELL.scrapeDuration, CELL.commitDuration];
/** Number of cells of a reading: all of the above, then the cumulative buckets of each histogram. */
export const READING_CELLS = CUMULATIVE + HISTOGRAMS.length * BUCKETS;

/** Computes the derived cells. All other cells must have been read before. */
export function deriveCells(reading: Float64Array): void {
  reading[PROCESS_CELL.pendingOperations] = Math.max(
    0,
    (reading[CELL.submitted] as number) - (reading[CELL.answered] as number),
  );
  for (const [index, first] of HISTOGRAMS.entries()) {
    let count = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      count += reading[first + bucket] as number;
      reading[CUMULATIVE + index * BUCKETS + bucket] = count;
    }
  }
}

function value(cell: number): readonly ServerRow[] {
  return [{ suffix: '', labels: {}, cell }];
}

function byLabel(label: string, values: readonly (string | number)[], first: number): ServerRow[] {
  return values.map((value, index) => ({
    suffix: '',
    labels: { [label]: String(value) },
    cell: first + index,
  }));
}

function durations(first: number): ServerRow[] {
  const cumulative = CUMULATIVE + HISTOGRAMS.indexOf(first) * BUCKETS;
  const bounds = [...DURATION_BOUNDS_SECONDS.map(String), '+Inf'];
  return [
    ...bounds.map(
      (le, bucket): ServerRow => ({ suffix: '_bucket', labels: { le }, cell: cumulative + bucket }),
    ),
    { suffix: '_sum', labels: {}, cell: first + DURATION_SUM },
    { suffix: '_count', labels: {}, cell: cumulative + BUCKETS - 1 },
  ];
}

/** All families about the control plane, sorted by name. */
export const SERVER_FAMILIES: readonly ServerFamily[] = [
  {
    name: 'nodejs_eventloop_lag_p99_seconds',
    type: 'gauge',
    help: 'Delay of timers in the main thread since the previous scrape, 99th percentile.',
    labels: [],
    over: 'server',
    rows: value(CELL.loopLagP99Seconds),
  },
  {
    name: 'nodejs_eventloop_lag_seconds',
    type: 'gauge',
    help: 'Delay of timers in the main thread since the previous scrape, mean.',
    labels: [],
    over: 'server',
    rows: value(CELL.loopLagSeconds),
  },
  {
    name: 'nodejs_heap_size_used_bytes',
    type: 'gauge',
    help: 'JavaScript heap in use by the main thread.',
    labels: [],
    over: 'server',
    rows: value(CELL.heapUsedBytes),
  },
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    help: 'User and system CPU time of the process.',
    labels: [],
    over: 'server',
    rows: value(PROCESS_CELL.cpuSeconds),
  },
  {
    name: 'process_max_fds',
    type: 'gauge',
    help: 'Maximum number of open files of the process; missing on systems that do not report it.',
    labels: [],
    over: 'server',
    rows: value(PROCESS_CELL.maxFds),
  },
  {
    name: 'process_open_fds',
    type: 'gauge',
    help: 'Open files of the process, including sockets; missing on systems that do not report them.',
    labels: [],
    over: 'server',
    rows: value(PROCESS_CELL.openFds),
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    help: 'Resident memory of the process.',
    labels: [],
    over: 'server',
    rows: value(PROCESS_CELL.residentBytes),
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    help: 'Unix time at which the process started.',
    labels: [],
    over: 'server',
    rows: value(PROCESS_CELL.startTimeSeconds),
  },
  {
    name: 'rm_agent_connections',
    type: 'gauge',
    help: 'Open WebSocket connections of agents, including those that have not sent a hello yet.',
    labels: [],
    over: 'server',
    rows: value(CELL.connections),
  },
  {
    name: 'rm_agent_messages_total',
    type: 'counter',
    help: 'Messages from agents by type; unreadable messages count as other.',
    labels: ['type'],
    over: 'server',
    rows: byLabel('type', MESSAGE_TYPES, CELL.messages),
  },
  {
    name: 'rm_agent_refusals_total',
    type: 'counter',
    help: 'Agent connections that were refused or closed, and refused agent messages, by reason.',
    labels: ['reason'],
    over: 'server',
    rows: byLabel('reason', REFUSALS, CELL.refusals),
  },
  {
    name: 'rm_agent_requests_total',
    type: 'counter',
    help: 'HTTP requests with agent messages, by HTTP status.',
    labels: ['code'],
    over: 'server',
    rows: byLabel('code', REPORT_CODES, CELL.reports),
  },
  {
    name: 'rm_api_refusals_total',
    type: 'counter',
    help: 'Requests to the API that got no data, by reason.',
    labels: ['reason'],
    over: 'server',
    rows: byLabel('reason', API_REFUSALS, CELL.apiRefusals),
  },
  {
    name: 'rm_api_request_duration_seconds',
    type: 'histogram',
    help: 'Time from the arrival of an API request until the socket accepted the last byte of its data.',
    labels: [],
    over: 'server',
    rows: durations(CELL.apiDuration),
  },
  {
    name: 'rm_api_requests_total',
    type: 'counter',
    help: 'Requests to the API by HTTP status.',
    labels: ['code'],
    over: 'server',
    rows: byLabel('code', API_CODES, CELL.apiRequests),
  },
  {
    name: 'rm_scrape_duration_seconds',
    type: 'histogram',
    help: 'Time from the arrival of a scrape until the socket accepted the last byte of the body.',
    labels: [],
    over: 'server',
    rows: durations(CELL.scrapeDuration),
  },
  {
    name: 'rm_scrapes_cut_off_total',
    type: 'counter',
    help: 'Scrapes whose connection was closed because the client read too slowly for too long.',
    labels: [],
    over: 'server',
    rows: value(CELL.scrapesCutOff),
  },
  {
    name: 'rm_scrapes_total',
    type: 'counter',
    help: 'Requests to the metrics endpoint by HTTP status.',
    labels: ['code'],
    over: 'server',
    rows: byLabel('code', SCRAPE_CODES, CELL.scrapes),
  },
  {
    name: 'rm_store_commit_duration_seconds',
    type: 'histogram',
    help: 'Time to write a batch of operations to disk.',
    labels: [],
    over: 'server',
    rows: durations(CELL.commitDuration),
  },
  {
    name: 'rm_store_failures_total',
    type: 'counter',
    help: 'Batches of operations that could not be stored.',
    labels: [],
    over: 'server',
    rows: value(CELL.storeFailures),
  },
  {
    name: 'rm_store_forgotten_jobs_total',
    type: 'counter',
    help: 'Jobs that were deleted early because their host has too many.',
    labels: [],
    over: 'server',
    rows: value(CELL.forgottenJobs),
  },
  {
    name: 'rm_store_pending_operations',
    type: 'gauge',
    help: 'Operations from agents that are not on disk yet.',
    labels: [],
    over: 'server',
    rows: value(PROCESS_CELL.pendingOperations),
  },
];

/**
 * Families that an embedder's exposition leaves out. Nothing counts them there, or the embedder's
 * process exposes them itself.
 */
export const NOT_EMBEDDED: readonly string[] = SERVER_FAMILIES.map(({ name }) => name).filter(
  (name) => !name.startsWith('rm_scrape'),
);
