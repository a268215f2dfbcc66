import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { Encoding } from '../../contract/encoding.ts';
import { RmError } from '../../errors.ts';
import { workerFile } from '../../platform/worker-file.ts';
import type { LogSize } from '../../render-thread/piece-store.ts';
import type {
  RenderResult,
  RenderTask,
  RenderThreadData,
} from '../../render-thread/render.worker.ts';
import { BodyBytes } from '../../shared/body-layout.ts';

/** A render that takes longer is given up, and its thread with it. */
export const RENDER_LIMIT_MS = 30_000;

/**
 * What slow readers may keep in memory beside the newest body: so many times what that takes, but always
 * MIN_PINNED_LIMIT_BYTES. Then those of the oldest body are sent away. A single reader never gets there, whatever changes.
 */
const MAX_PINNED_PER_LIVE = 2;
const MIN_PINNED_LIMIT_BYTES = 8 * 1024 * 1024;

/** The thread makes little garbage. Left alone, V8 would keep three times 16 MiB for it. */
const YOUNG_GENERATION_MB = 4;

/** A rendered body in shared memory. Its pieces stay as they are until it is released. */
export interface RenderedBody {
  /** @throws RmError `render_failed` if that encoding was not asked for */
  bytes(encoding: Encoding): BodyBytes;
  release(): void;
  /** Set by who hands it out: called when the memory is needed for newer scrapes and must be let go. */
  onRevoked: () => void;
}

/** The one thread that renders, replaced by piscina when it dies. */
export class RenderThread {
  readonly #pool: Piscina<RenderTask, RenderResult>;
  #renders = 0;
  /** By the number of their render, oldest first. */
  readonly #heldBodies = new Map<number, RenderedBody>();

  constructor(data: RenderThreadData) {
    this.#pool = new Piscina({
      filename: fileURLToPath(workerFile('../../render-thread/render', import.meta.url)),
      workerData: data,
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      // Waiting in `Atomics.wait` pays for streams of tasks; a task that comes alone is answered twice as
      // fast without, and a scrape always comes alone.
      atomics: 'disabled',
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    // A thread that dies between two tasks: piscina has already started the next one.
    this.#pool.on('error', () => {});
  }

  /** The threads of the pool, for tests that kill one. @internal */
  get threads() {
    return this.#pool.threads;
  }

  /** Renders once, as Prometheus will want it: the first scrape then finds a thread that is up. */
  async warmUp(): Promise<void> {
    (await this.render(['gzip'])).release();
  }

  /** @throws RmError `render_failed` */
  async render(encodings: readonly Encoding[]): Promise<RenderedBody> {
    const renderNumber = ++this.#renders;
    try {
      const heldRenders = [...this.#heldBodies.keys()];
      const { bodies, logSize } = await this.#runTask({ renderNumber, heldRenders, encodings });
      this.#revokeOldestIfTooLarge(logSize);
      return this.#hold(renderNumber, bodies);
    } catch (error) {
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
  async #runTask(task: RenderTask): Promise<RenderResult> {
    const controller = new AbortController();
    const running = this.#pool.run(task, { signal: controller.signal });
    const timer = setTimeout(
      () => controller.abort(new Error(`no body after ${RENDER_LIMIT_MS} ms`)),
      RENDER_LIMIT_MS,
    );
    const { threads } = this.#pool;
    const onExit = () => controller.abort(new Error('the thread died'));
    for (const thread of threads) thread.once('exit', onExit);
    try {
      return await running;
    } finally {
      clearTimeout(timer);
      for (const thread of threads) thread.off('exit', onExit);
    }
  }

  #hold(renderNumber: number, layouts: RenderResult['bodies']): RenderedBody {
    const { identity, gzip } = layouts;
    const bytes = {
      identity: identity && new BodyBytes(identity),
      gzip: gzip && new BodyBytes(gzip),
    };
    const body: RenderedBody = {
      bytes(encoding) {
        const found = bytes[encoding];
        if (found === undefined) throw new RmError('render_failed', `no body in ${encoding}`);
        return found;
      },
      release: () => this.#heldBodies.delete(renderNumber),
      onRevoked: () => {},
    };
    this.#heldBodies.set(renderNumber, body);
    return body;
  }

  #revokeOldestIfTooLarge({ live, pinned }: LogSize): void {
    if (pinned <= Math.max(MAX_PINNED_PER_LIVE * live, MIN_PINNED_LIMIT_BYTES)) return;
    const [oldest] = this.#heldBodies.values();
    oldest?.onRevoked();
  }
}
