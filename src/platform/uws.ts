import type * as Uws from 'uWebSockets.js';
import { createRequire } from 'node:module';
import { RmError } from '../errors.ts';
import { explainNoBuild, thisSystem } from './uws-builds.ts';

export type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_listen_socket,
  us_socket_context_t,
  WebSocket,
} from 'uWebSockets.js';

/*
 * The part of the uWebSockets.js API that the scrape endpoint uses. The endpoint can be mounted on
 * the app of an embedder, whichever release that app is of.
 */
export interface MountableApp {
  any(pattern: string, handler: (res: ScrapeResponse, req: ScrapeRequest) => void): unknown;
}

export interface ScrapeRequest {
  getMethod(): string;
  getHeader(lowerCaseName: string): string;
  forEach(visit: (name: string, value: string) => void): void;
}

export interface ScrapeResponse {
  getRemoteAddress(): ArrayBuffer;
  onAborted(handler: () => void): unknown;
  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): unknown;
  onWritable(handler: (offset: number) => boolean): unknown;
  cork(write: () => void): unknown;
  writeStatus(status: string): unknown;
  writeHeader(name: string, value: string): unknown;
  end(body: string | Uint8Array<ArrayBuffer>, closeConnection: boolean): unknown;
  endWithoutBody(reportedLength?: number, closeConnection?: boolean): unknown;
  close(): unknown;
  tryEnd(chunk: Uint8Array, totalSize: number): [accepted: boolean, done: boolean];
  getWriteOffset(): number;
}

/**
 * Two builds of uWebSockets.js are installed: a current one, and an older one for systems with an
 * older C library. The first one that loads is used. The code uses only what both builds have.
 */
const BUILDS = ['uWebSockets.js', 'uWebSockets.js-compat'];

let loaded: typeof Uws | undefined;

/**
 * Returns the uWebSockets.js that this package has loaded. Use it to create an app if your project does
 * not depend on uWebSockets.js itself.
 *
 * @throws RmError `no_uws_build`; the message says why, and what to do
 *
 * @example
 * ```ts
 * const app = uws().App();
 * metrics.mount(app);
 * ```
 */
export function uws(): typeof Uws {
  loaded ??= load();
  return loaded;
}

function load(): typeof Uws {
  const require = createRequire(import.meta.url);
  const failures: string[] = [];
  for (const build of BUILDS) {
    try {
      return require(build);
    } catch (error) {
      failures.push(`${build}: ${error instanceof Error ? error.message : error}`);
    }
  }
  const message = explainNoBuild(thisSystem(), failures);
  // The messages of the builds are long, and name versions of Node that this package does not support.
  throw new RmError('no_uws_build', message, { cause: failures });
}
