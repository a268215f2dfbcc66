import type { MessagePort } from 'node:worker_threads';
import type { Encoding } from '../../contract/encoding.ts';
import { errorCode, RmError } from '../../errors.ts';
import { BodyBytes, type BodyLayout } from '../../shared/body-layout.ts';
import type { Body, RenderSource } from './render-source.ts';

/*
 * Bodies for an endpoint in another thread than the render's owner: the bytes are in shared memory, so
 * that only where they are travels.
 */
type Question =
  | { readonly render: number; readonly encoding: Encoding; readonly timeoutMs: number }
  | { readonly release: number };
type Reply =
  | { readonly render: number; readonly layout: BodyLayout }
  | { readonly render: number; readonly code: string }
  | { readonly revoked: number };

/** Answers the `RemoteRender` at the other end of `port` from `source`. */
export function serveRemoteRenders(port: MessagePort, source: RenderSource): void {
  const held = new Map<number, Body>();
  const reply = (message: Reply) => port.postMessage(message);
  port.on('message', async (question: Question) => {
    if ('release' in question) {
      held.get(question.release)?.release();
      held.delete(question.release);
      return;
    }
    const { render, encoding, timeoutMs } = question;
    try {
      const body = await source.render(encoding, timeoutMs);
      held.set(render, body);
      body.onRevoked = () => reply({ revoked: render });
      reply({ render, layout: body.bytes.layout });
    } catch (error) {
      reply({ render, code: errorCode(error) ?? 'render_failed' });
    }
  });
  port.on('close', () => {
    for (const body of held.values()) body.release();
  });
}

export class RemoteRender implements RenderSource {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, (reply: Exclude<Reply, { revoked: number }>) => void>();
  readonly #held = new Map<number, Body>();
  #next = 0;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (reply: Reply) => {
      if ('revoked' in reply) return this.#held.get(reply.revoked)?.onRevoked();
      this.#waiting.get(reply.render)?.(reply);
      this.#waiting.delete(reply.render);
    });
  }

  render(encoding: Encoding, timeoutMs: number): Promise<Body> {
    const render = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(render, (reply) => {
        if ('layout' in reply) {
          const release = () => {
            if (this.#held.delete(render)) this.#ask({ release: render });
          };
          const bytes = new BodyBytes(reply.layout);
          const body: Body = { bytes, release, onRevoked: () => {} };
          this.#held.set(render, body);
          resolve(body);
        } else {
          reject(new RmError(errorCode(reply) ?? 'render_failed', 'the render failed'));
        }
      });
      this.#ask({ render, encoding, timeoutMs });
    });
  }

  close(): void {
    this.#port.close();
  }

  #ask(question: Question): void {
    this.#port.postMessage(question);
  }
}
