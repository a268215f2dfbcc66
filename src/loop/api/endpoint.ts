import { allForwardedFor } from '../../access/client-address.ts';
import type { Gate, GateRefusal } from '../../access/gate.ts';
import { isUlid } from '../../contract/host.ts';
import type { Query, QueryFailureCode } from '../../contract/queries.ts';
import { messageOf } from '../../errors.ts';
import type { HttpRequest, HttpResponse, TemplatedApp } from '../../platform/uws.ts';
import type { ApiCode, ApiRefusal } from '../../shared/server-stats.ts';
import { type Headers, PendingResponse } from '../http/pending-response.ts';
import type { RequestBudget } from '../http/request-budget.ts';
import { sendBody, slicesOf } from '../http/send-body.ts';
import { BadParameter, hostsParameters, noParameters } from './parameters.ts';
import type { QuerySource } from './query-source.ts';
import { UnreadAnswers } from './unread-answers.ts';

/** Counters that the endpoint updates. */
export interface ApiCounter {
  apiRequest(code: ApiCode): void;
  apiRefusal(reason: ApiRefusal): void;
  /** Time in milliseconds from the request until the socket accepted the last byte of the answer. */
  apiDuration(ms: number): void;
}

export interface ApiOptions {
  /** The same as that of `/metrics`. */
  readonly gate: Gate;
  readonly source: QuerySource;
  readonly counter: ApiCounter;
  /** Must be shared by all handlers that are mounted in this thread. */
  readonly requests: RequestBudget;
  /**
   * Called with the cause when a request is answered with 503, or a part of the answer is null. The client gets
   * only a general reason.
   */
  readonly onFailure: (code: QueryFailureCode, message: string) => void;
  /** Called when the gate refuses a request. */
  readonly onRefusal: (refusal: GateRefusal) => void;
}

/** Mounts the requests of the API. */
export function mountApi(app: TemplatedApp, options: ApiOptions): void {
  const unread = new UnreadAnswers(() => options.counter.apiRefusal('too_slow'));
  const mount = (path: string, queryOf: (req: HttpRequest) => Query) => {
    app.any(path, (res, req) => new ApiRequest(res, req, options, unread).handle(req, queryOf));
  };
  mount('/api/fleet', (req) => {
    noParameters(parametersOf(req));
    return { name: 'fleet' };
  });
  mount('/api/hosts', (req) => ({ name: 'hosts', ...hostsParameters(parametersOf(req)) }));
  mount('/api/hosts/:host_id', (req) => {
    noParameters(parametersOf(req));
    return { name: 'host', hostId: req.getParameter(0) ?? '' };
  });
}

/** uWebSockets.js returns undefined if there is no question mark. */
function parametersOf(req: HttpRequest): string {
  return (req.getQuery() as string | undefined) ?? '';
}

const STATUS_LINES = {
  400: '400 Bad Request',
  401: '401 Unauthorized',
  404: '404 Not Found',
  405: '405 Method Not Allowed',
  503: '503 Service Unavailable',
} as const;

const NO_STORE = { 'Cache-Control': 'no-store' };
const JSON_HEADERS = { ...NO_STORE, 'Content-Type': 'application/json; charset=utf-8' };
const RETRY_SECONDS = '1';

/** What the client gets for each failure. */
const FAILURES: Readonly<
  Record<Exclude<QueryFailureCode, 'no_such_host'>, readonly [reason: ApiRefusal, text: string]>
> = {
  api_failed: ['failed', 'the data could not be read; the log of the server has the cause'],
  api_too_late: ['too_late', 'the data was not ready in time'],
  too_many_requests: ['too_many_requests', 'too many requests are waiting'],
};

class ApiRequest {
  readonly #res: HttpResponse;
  readonly #options: ApiOptions;
  readonly #unread: UnreadAnswers;
  readonly #response: PendingResponse;
  readonly #startedAt = performance.now();

  constructor(res: HttpResponse, req: HttpRequest, options: ApiOptions, unread: UnreadAnswers) {
    this.#res = res;
    this.#options = options;
    this.#unread = unread;
    this.#response = new PendingResponse(res, req, options.requests);
  }

  handle(req: HttpRequest, queryOf: (req: HttpRequest) => Query): void {
    const { gate, source, onRefusal } = this.#options;
    const method = req.getMethod();
    if (method !== 'get' && method !== 'head') {
      return this.#refuse(405, 'bad_method', { ...NO_STORE, Allow: 'GET, HEAD' }, 'use GET\n');
    }
    const refusal = gate.refusal({
      authorization: req.getHeader('authorization'),
      peer: new Uint8Array(this.#res.getRemoteAddress()),
      forwardedFor: () => allForwardedFor(req),
    });
    if (refusal !== undefined) {
      onRefusal(refusal);
      const challenge = gate.wantsToken ? { 'WWW-Authenticate': 'Bearer' } : {};
      return this.#refuse(401, 'unauthorized', { ...NO_STORE, ...challenge }, 'unauthorized\n');
    }
    if (this.#response.hasBody) {
      return this.#refuseInJson(400, 'bad_request', 'a request of the API must not have a body');
    }
    let query: Query;
    try {
      query = queryOf(req);
    } catch (error) {
      if (!(error instanceof BadParameter)) throw error;
      return this.#refuseInJson(400, 'bad_parameter', error.message);
    }
    if (query.name === 'host' && !isUlid(query.hostId)) return this.#refuseHost();
    source
      .ask(query)
      .then((answer) => {
        if ('json' in answer) {
          if (answer.lacks !== undefined) this.#noteLack(answer.lacks);
          this.#send(answer.json, method === 'head');
        } else if (answer.failed === 'no_such_host') this.#refuseHost();
        else this.#fail(answer.failed, answer.message);
      })
      .catch((error) => this.#fail('api_failed', messageOf(error)));
  }

  #send(json: Uint8Array, isHead: boolean): void {
    const { counter } = this.#options;
    const response = this.#response;
    if (isHead) {
      counter.apiRequest(200);
      return response.sendHead('200 OK', JSON_HEADERS);
    }
    this.#unread.add(response, json.length);
    sendBody(response, this.#res, JSON_HEADERS, slicesOf(json), (complete) => {
      this.#unread.remove(response);
      if (!complete) return;
      counter.apiRequest(200);
      counter.apiDuration(performance.now() - this.#startedAt);
    });
  }

  #noteLack(message: string): void {
    this.#options.onFailure('api_failed', message);
    this.#options.counter.apiRefusal('failed');
  }

  #fail(code: Exclude<QueryFailureCode, 'no_such_host'>, message: string): void {
    const [reason, text] = FAILURES[code];
    this.#options.onFailure(code, message);
    this.#refuseInJson(503, reason, text, { 'Retry-After': RETRY_SECONDS });
  }

  #refuseHost(): void {
    this.#refuseInJson(
      404,
      'no_such_host',
      'HOST_ID: no host has this id; GET /api/hosts lists all',
    );
  }

  #refuseInJson(
    status: keyof typeof STATUS_LINES,
    reason: ApiRefusal,
    message: string,
    headers: Headers = {},
  ): void {
    const error = { code: reason, message };
    this.#refuse(status, reason, { ...JSON_HEADERS, ...headers }, `${JSON.stringify({ error })}\n`);
  }

  #refuse(
    status: keyof typeof STATUS_LINES,
    reason: ApiRefusal,
    headers: Headers,
    text: string,
  ): void {
    const { counter } = this.#options;
    counter.apiRequest(status);
    counter.apiRefusal(reason);
    this.#response.send(STATUS_LINES[status], headers, text);
  }
}
