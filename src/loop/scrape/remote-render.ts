import type { MessagePort } from 'node:worker_threads';
import type { Encoding } from '../../contract/encoding.ts';
import { errorCode, messageOf, RmError } from '../../errors.ts';
import { BodyBytes, type BodyLayout } from '../../shared/body-layout.ts';
import type { BodyHold, RenderSource } from './render-source.ts';

/*
 * Lets an agent loop in another thread serve scrapes. Bodies are in shared memory, so the messages
 * contain only the places of their pieces.
 */
type RenderRequest =
  | { readonly requestId: number; readonly encoding: Encoding; readonly timeoutMs: number }
  | { readonly release: number };
type RenderReply =
  | { readonly requestId: number; readonly layout: BodyLayout }
  | { readonly requestId: number; readonly code: string; readonly message: string }
  | { readonly revoked: number };

/**
 * Serves the `RemoteRender` at the other end of `port` with bodies of `source`. When the port
 * closes, all of its bodies are released.
 */
export function serveRemoteRenders(port: MessagePort, source: RenderSource): void {
  const held = new Map<number, BodyHold>();
  let isClosed = false;
  const reply = (message: RenderReply) => port.postMessage(message);
  port.on('message', async (request: RenderRequest) => {
    if ('release' in request) {
      held.get(request.release)?.release();
      held.delete(request.release);
      return;
    }
    const { requestId, encoding, timeoutMs } = request;
    try {
      const body = await source.render(encoding, timeoutMs);
      if (isClosed) return body.release();
      held.set(requestId, body);
      body.onRevoked = () => reply({ revoked: requestId });
      reply({ requestId, layout: body.bytes.layout });
    } catch (error) {
      const code = errorCode(error) ?? 'render_failed';
      reply({ requestId, code, message: messageOf(error) });
    }
  });
  port.on('close', () => {
    isClosed = true;
    for (const body of held.values()) body.release();
  });
}

/** A render source for a loop that does not own the render thread. It asks the loop that does. */
export class RemoteRender implements RenderSource {
  readonly #port: MessagePort;
  readonly #pending = new Map<number, (reply: Exclude<RenderReply, { revoked: number }>) => void>();
  readonly #held = new Map<number, BodyHold>();
  #requests = 0;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (reply: RenderReply) => {
      if ('revoked' in reply) return this.#held.get(reply.revoked)?.onRevoked();
      this.#pending.get(reply.requestId)?.(reply);
      this.#pending.delete(reply.requestId);
    });
  }

  render(encoding: Encoding, timeoutMs: number): Promise<BodyHold> {
    const requestId = this.#requests++;
    return new Promise((resolve, reject) => {
      this.#pending.set(requestId, (reply) => {
        if ('layout' in reply) {
          const release = () => {
            if (this.#held.delete(requestId)) this.#post({ release: requestId });
          };
          const bytes = new BodyBytes(reply.layout);
          const body: BodyHold = { bytes, release, onRevoked: () => {} };
          this.#held.set(requestId, body);
          resolve(body);
        } else {
          reject(new RmError(errorCode(reply) ?? 'render_failed', reply.message));
        }
      });
      this.#post({ requestId, encoding, timeoutMs });
    });
  }

  close(): void {
    this.#port.close();
  }

  #post(request: RenderRequest): void {
    this.#port.postMessage(request);
  }
}
