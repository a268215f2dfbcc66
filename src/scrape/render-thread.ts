import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { RmError } from '../errors.ts';
import { workerFile } from '../platform/worker-file.ts';
import type { RenderResult, RenderTask, RenderThreadData } from './render.worker.ts';
import type { Encoding } from './render-source.ts';

/** A render that takes longer is given up, and its thread with it. */
export const RENDER_LIMIT_MS = 30_000;

/** Bodies kept at one time for readers that are slow; then the readers of the oldest are sent away. */
const MAX_BODIES = 16;
/** Buffers kept for the next render; more is only memory. */
const MAX_SPARE_BUFFERS = 2;

/** The encodings in which somebody waits for the body. */
export type RenderWants = Readonly<Record<Encoding, boolean>>;

/** A rendered body in shared memory. Its buffer is used again once it is recycled. */
export interface RenderedBody {
  readonly identity: Uint8Array;
  readonly gzip: Uint8Array;
  recycle(): void;
  /** Set by who hands it out: called when the body is needed for newer scrapes and must be let go. */
  onRevoked: () => void;
}

/** The one thread that renders, replaced by piscina when it dies. */
export class RenderThread {
  readonly #pool: Piscina<RenderTask, RenderResult>;
  readonly #spare: SharedArrayBuffer[] = [];
  /** In the order in which they were rendered. */
  readonly #held = new Set<RenderedBody>();

  constructor(data: RenderThreadData) {
    this.#pool = new Piscina({
      filename: fileURLToPath(workerFile('render', import.meta.url)),
      workerData: data,
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
    });
    // A thread that dies between two tasks: piscina has already started the next one.
    this.#pool.on('error', () => {});
  }

  /** The threads of the pool, for tests that kill one. @internal */
  get threads() {
    return this.#pool.threads;
  }

  /** Renders once and throws the body away: the first scrape then finds a thread that is up. */
  async warmUp(): Promise<void> {
    (await this.render({ identity: true, gzip: true })).recycle();
  }

  /** @throws RmError `render_failed` */
  async render(wants: RenderWants): Promise<RenderedBody> {
    const [oldest] = this.#held;
    if (this.#held.size >= MAX_BODIES) oldest?.onRevoked();
    try {
      return this.#body(await this.#run({ buffer: this.#spare.pop(), ...wants }));
    } catch (error) {
      // The buffer is not used again: a dying thread may still be writing to it.
      throw new RmError('render_failed', 'the render thread failed', { cause: error });
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  /**
   * A thread that dies while it starts is not replaced by piscina before the next task comes, so a task
   * that waits for it would wait until the limit: it is given up with the thread.
   */
  async #run(task: RenderTask): Promise<RenderResult> {
    const death = new AbortController();
    const signal = AbortSignal.any([AbortSignal.timeout(RENDER_LIMIT_MS), death.signal]);
    const running = this.#pool.run(task, { signal });
    const { threads } = this.#pool;
    const onExit = () => death.abort(new Error('the thread died'));
    for (const thread of threads) thread.once('exit', onExit);
    try {
      return await running;
    } finally {
      for (const thread of threads) thread.off('exit', onExit);
    }
  }

  #body({ buffer, identityLength, gzipLength }: RenderResult): RenderedBody {
    const body: RenderedBody = {
      identity: new Uint8Array(buffer, 0, identityLength),
      gzip: new Uint8Array(buffer, identityLength, gzipLength),
      recycle: () => {
        this.#held.delete(body);
        if (this.#spare.length < MAX_SPARE_BUFFERS) this.#spare.push(buffer);
      },
      onRevoked: () => {},
    };
    this.#held.add(body);
    return body;
  }
}
