import type { Encoding } from '../../contract/encoding.ts';
import type { BodyBytes } from '../../shared/body-layout.ts';

/** The claim of one reader on a rendered body. The bytes do not change until it is released. */
export interface BodyHold {
  readonly bytes: BodyBytes;
  /**
   * The reader must call this when it no longer needs the bytes. They may be overwritten
   * afterwards.
   */
  release(): void;
  /**
   * Set by the reader. Called when newer scrapes need the memory. The reader must then stop and
   * call `release`.
   */
  onRevoked: () => void;
}

/** Where an endpoint gets bodies from: the `SharedRender` of its own thread, or a `RemoteRender`. */
export interface RenderSource {
  /**
   * Returns a body whose state is no older than this call.
   * @param timeoutMs time limit in milliseconds
   * @throws RmError `render_failed`, `render_too_late`, `too_many_scrapes`, `closed`
   */
  render(encoding: Encoding, timeoutMs: number): Promise<BodyHold>;
}
