import { readFileSync } from 'node:fs';
import type { AgentDetails } from '../../contract/operations.ts';
import { messageOf } from '../../errors.ts';
import type { HttpRequest, HttpResponse, TemplatedApp } from '../../platform/uws.ts';
import type { ReportCode } from '../../shared/server-stats.ts';
import { type BodyLimits, type Headers, PendingResponse } from '../http/pending-response.ts';
import type { RequestBudget } from '../http/request-budget.ts';
import type { Admission, AdmissionOptions } from './admission.ts';
import {
  MAX_DISCARDED_BYTES,
  MAX_PARSING_MS_PER_TURN,
  MAX_REPORT_BYTES,
  MAX_REPORT_BYTES_PER_LOOP,
  MAX_REPORT_CHUNKS,
  MAX_REPORTS_PER_HOST,
  MAX_SHARE_OF_HOST,
  REPORT_BODY_MS,
} from './limits.ts';
import { Pauses } from './pauses.ts';
import { type AgentMessage, ackMessage, errorMessage } from './protocol.ts';
import { ProtocolError } from './protocol-error.ts';
import { fieldsOf, noteRefusedMessage, type Sender } from './refusals.ts';
import { BodyError, readMessages } from './report-body.ts';
import { type SubmitContext, type SubmitResult, submitMessage } from './submit.ts';
import { Tally } from './tally.ts';

const MESSAGES_PATH = '/agent/messages';
const SCRIPT_PATH = '/agent/restic-report';
const BODY_LIMITS: BodyLimits = {
  bytes: MAX_REPORT_BYTES + MAX_DISCARDED_BYTES,
  chunks: MAX_REPORT_CHUNKS,
  answersLater: true,
};

export interface ReportEndpointOptions extends SubmitContext, AdmissionOptions {
  /** Must be shared by all handlers that are mounted in this thread. */
  readonly requests: RequestBudget;
}

/** A request with agent messages, from its first byte until it is answered. */
interface ReportRequest {
  readonly sender: Sender;
  readonly contentType: string;
  readonly response: PendingResponse;
  readonly chunks: Buffer[];
  bytes: number;
  state: 'reading' | 'complete' | 'ended';
}

/**
 * The HTTP endpoint of one loop for agents without a connection: they send messages in the body of a
 * request and get the answers in the response.
 */
export class ReportEndpoint {
  readonly #options: ReportEndpointOptions;
  readonly #admission: Admission;
  readonly #open = new Tally(MAX_REPORTS_PER_HOST);
  readonly #script = readFileSync(new URL('../../../bin/restic-report', import.meta.url), 'utf8');
  /** Requests whose body is complete and whose messages have not been read yet. */
  readonly #complete: ReportRequest[] = [];
  readonly #pauses = new Pauses(MAX_SHARE_OF_HOST);
  /** Sum of the bodies that are kept. */
  #keptBytes = 0;
  #unanswered = 0;
  #isDraining = false;

  constructor(options: ReportEndpointOptions, admission: Admission) {
    this.#options = options;
    this.#admission = admission;
  }

  /** Whether no complete request waits for its answer. */
  get isIdle(): boolean {
    return this.#unanswered === 0;
  }

  mount(app: TemplatedApp): void {
    app.any(MESSAGES_PATH, (res, req) => this.#receive(res, req));
    app.any(SCRIPT_PATH, (res, req) => this.#sendScript(res, req));
  }

  /** Refuses further requests. The clients send them again later. */
  drain(): void {
    this.#isDraining = true;
  }

  #sendScript(res: HttpResponse, req: HttpRequest): void {
    const response = new PendingResponse(res, req, this.#options.requests);
    const method = req.getMethod();
    if (method !== 'get' && method !== 'head') {
      return response.send('405 Method Not Allowed', { Allow: 'GET, HEAD' }, 'use GET\n');
    }
    const headers = { 'Content-Type': 'text/x-shellscript; charset=utf-8' };
    response.send('200 OK', headers, this.#script);
  }

  #receive(res: HttpResponse, req: HttpRequest): void {
    const { stats, requests } = this.#options;
    const response = new PendingResponse(res, req, requests, BODY_LIMITS);
    // Requests with a body cannot be pipelined. The client must reconnect after the answer.
    response.closeAfterwards();
    if (req.getMethod() !== 'post') {
      return this.#answer(response, 405, 'use POST\n', { Allow: 'POST' });
    }
    const agent = this.#admission.admit(res, req, response, (code) => stats.report(code));
    if (agent === undefined) return;
    if (this.#isDraining) return this.#answer(response, 503, 'try again later\n', RETRY_SOON);
    if (Number(req.getHeader('content-length')) > BODY_LIMITS.bytes) {
      response.doNotWaitForBody();
      return this.#refuse(agent, response, 413, 'bad_report', TOO_LONG);
    }
    if (!this.#open.add(agent.hostId)) {
      const why = 'too many requests from this host at the same time';
      return this.#refuse(agent, response, 429, 'too_many_requests', why);
    }
    const contentType = (req.getHeader('content-type').split(';')[0] ?? '').trim().toLowerCase();
    this.#read({ sender: agent, contentType, response, chunks: [], bytes: 0, state: 'reading' });
  }

  #read(report: ReportRequest): void {
    const { response, chunks, sender } = report;
    let hasRoom = true;
    const limit = setTimeout(() => {
      response.doNotWaitForBody();
      this.#refuse(sender, response, 408, 'bad_report', 'the body did not arrive in time');
      this.#end(report);
    }, REPORT_BODY_MS);
    response.readBody(
      (chunk) => {
        report.bytes += chunk.byteLength;
        if (report.state === 'ended' || !hasRoom || report.bytes > MAX_REPORT_BYTES) return;
        hasRoom = this.#keptBytes + chunk.byteLength <= MAX_REPORT_BYTES_PER_LOOP;
        if (!hasRoom) return this.#release(report);
        this.#keptBytes += chunk.byteLength;
        // uWS takes the memory of the chunk back after this call.
        chunks.push(Buffer.from(Buffer.from(chunk)));
      },
      (isTooLong) => {
        clearTimeout(limit);
        if (report.state === 'ended') return;
        if (isTooLong || report.bytes > MAX_REPORT_BYTES) {
          this.#refuse(sender, response, 413, 'bad_report', TOO_LONG);
          this.#end(report);
        } else if (!hasRoom) {
          this.#refuse(sender, response, 503, 'too_many_requests', NO_ROOM);
          this.#end(report);
        } else {
          report.state = 'complete';
          this.#unanswered++;
          this.#schedule(report);
        }
      },
      () => {
        clearTimeout(limit);
        // A complete request is handled although its client has left.
        if (report.state === 'reading') this.#end(report);
      },
    );
  }

  /** Queues a complete request, after the pause of its host, so that its messages are read. */
  #schedule(report: ReportRequest): void {
    const pauseMs = this.#pauses.remainingMs(report.sender.hostId);
    // Rounded up, because a timer may fire a little early.
    if (pauseMs > 0) return void setTimeout(() => this.#schedule(report), Math.ceil(pauseMs));
    this.#complete.push(report);
    if (this.#complete.length === 1) setImmediate(() => this.#work());
  }

  /** Reads the messages of complete requests, for a limited time in each turn of the loop. */
  #work(): void {
    const until = performance.now() + MAX_PARSING_MS_PER_TURN;
    do {
      const report = this.#complete.shift();
      if (report === undefined) return;
      const { hostId } = report.sender;
      if (this.#pauses.remainingMs(hostId) > 0) {
        this.#schedule(report);
        continue;
      }
      const startedAt = performance.now();
      this.#handle(report);
      this.#pauses.add(hostId, performance.now() - startedAt);
    } while (performance.now() < until);
    if (this.#complete.length > 0) setImmediate(() => this.#work());
  }

  #handle(report: ReportRequest): void {
    const { response, sender, contentType } = report;
    const { stats } = this.#options;
    try {
      const messages = readMessages(Buffer.concat(report.chunks), contentType);
      for (const message of messages) {
        stats.message(message instanceof ProtocolError ? 'other' : message.type);
      }
      void this.#store(report, messages);
    } catch (error) {
      this.#end(report);
      // The body comes from outside, so even an unexpected error must not end the process.
      const { code, message } =
        error instanceof BodyError
          ? error
          : new BodyError(400, `the body cannot be read: ${messageOf(error)}`);
      this.#refuse(sender, response, code, 'bad_report', message);
    }
  }

  async #store(
    report: ReportRequest,
    messages: readonly (AgentMessage | ProtocolError)[],
  ): Promise<void> {
    const { sender, response } = report;
    try {
      // All operations are submitted in one turn of the loop, so the store has them in one batch.
      const seen = this.#seen(sender.hostId, messages);
      const [, ...results] = await Promise.all([
        seen,
        ...messages.map((message) => this.#submit(sender.hostId, message, seen)),
      ]);
      if (results.includes('gone')) {
        this.#admission.unauthorized(response, sender.address, (code) =>
          this.#options.stats.report(code),
        );
      } else {
        const answers = results.map((result, at) => this.#answerOf(sender, messages[at], result));
        const headers = { 'Content-Type': 'application/json' };
        this.#answer(response, 200, `[${answers.join(',')}]\n`, headers);
      }
    } catch (error) {
      this.#refuse(sender, response, 503, 'store_unavailable', NOT_STORED, messageOf(error));
    } finally {
      this.#end(report);
    }
  }

  /** Informs the store that the host has sent messages. Passes its details if one of them is a hello. */
  #seen(
    hostId: string,
    messages: readonly (AgentMessage | ProtocolError)[],
  ): Promise<SubmitResult> {
    let agent: AgentDetails | undefined;
    let isAnyRight = false;
    for (const message of messages) {
      if (message instanceof ProtocolError) continue;
      isAnyRight = true;
      if (message.type === 'hello') agent = message.agent;
    }
    if (!isAnyRight) return Promise.resolve('done');
    const stored = this.#options.store.submit('seen', { hostId, agent });
    return stored.then((answer) => answer ?? 'done');
  }

  #submit(
    hostId: string,
    message: AgentMessage | ProtocolError,
    seen: Promise<SubmitResult>,
  ): Promise<SubmitResult> {
    if (message instanceof ProtocolError) return Promise.resolve(message);
    if (message.type === 'hello' || message.type === 'heartbeat') return seen;
    return submitMessage(hostId, message, this.#options);
  }

  #answerOf(
    sender: Sender,
    message: AgentMessage | ProtocolError | undefined,
    result: SubmitResult,
  ): string {
    if (!(result instanceof ProtocolError)) return ackMessage(message?.id);
    result.id = message?.id;
    noteRefusedMessage(sender, result, this.#options);
    return errorMessage(result);
  }

  #refuse(
    sender: Sender,
    response: PendingResponse,
    code: 400 | 408 | 413 | 429 | 503,
    reason: 'bad_report' | 'too_many_requests' | 'store_unavailable',
    why: string,
    error?: string,
  ): void {
    const { stats, events } = this.#options;
    stats.refusal(reason);
    const text = `agent request refused: ${why}`;
    events.warn(`agent_${reason}`, { ...fieldsOf(sender), code, error }, text);
    const headers: Headers = reason === 'bad_report' ? {} : RETRY_SOON;
    this.#answer(response, code, `${why}\n`, headers);
  }

  #answer(response: PendingResponse, code: ReportCode, text: string, headers: Headers = {}): void {
    this.#options.stats.report(code);
    response.send(STATUS_LINES[code], headers, text);
  }

  /** Releases the resources of the request. */
  #end(report: ReportRequest): void {
    if (report.state === 'ended') return;
    if (report.state === 'complete') this.#unanswered--;
    report.state = 'ended';
    this.#open.remove(report.sender.hostId);
    this.#release(report);
  }

  #release({ chunks }: ReportRequest): void {
    for (const chunk of chunks.splice(0)) this.#keptBytes -= chunk.byteLength;
  }
}

const TOO_LONG = `the body must have at most ${MAX_REPORT_BYTES} bytes`;
const NO_ROOM = 'the memory for request bodies is full; try again later';
const NOT_STORED = 'the messages cannot be stored; try again later';
const RETRY_SOON = { 'Retry-After': '1' };

const STATUS_LINES = {
  200: '200 OK',
  400: '400 Bad Request',
  401: '401 Unauthorized',
  405: '405 Method Not Allowed',
  408: '408 Request Timeout',
  413: '413 Content Too Large',
  429: '429 Too Many Requests',
  503: '503 Service Unavailable',
} as const satisfies Record<ReportCode, string>;
