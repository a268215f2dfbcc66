import type { Encoding } from '../../contract/encoding.ts';
import type { BodyBytes } from '../../shared/body-layout.ts';

/** One reader's hold on a rendered body. */
export interface BodyHold {
  readonly bytes: BodyBytes;
  /** To be called once, when the bytes are no longer needed: they may change then. */
  release(): void;
  /**
   * Set by the reader: called when the bytes are needed for newer scrapes. A reader that slow has to go,
   * and to release them.
   */
  onRevoked: () => void;
}

/** Where an endpoint gets its bodies from: the shared render of its own thread, or another thread's. */
export interface RenderSource {
  /**
   * A body no older than this call.
   * @throws RmError `render_failed`, `render_too_late`, `too_many_scrapes`, `closed`
   */
  render(encoding: Encoding, timeoutMs: number): Promise<BodyHold>;
}
