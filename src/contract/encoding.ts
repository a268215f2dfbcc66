/** HTTP content codings in which a body can be sent. */
export type Encoding = 'identity' | 'gzip';

/** A render that takes longer is aborted, and its thread is replaced. */
export const RENDER_LIMIT_MS = 30_000;
