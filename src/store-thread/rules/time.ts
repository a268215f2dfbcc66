/*
 * Whose clock: agents report by their own clocks, and some of these are wrong. This is the one rule about it.
 */

/** An agent's clock may be ahead of the server's by so much. What is further ahead counts as received now. */
export const MAX_AHEAD_MS = 5 * 60 * 1_000;
/** No job takes longer. A longer one has a wrong start or a wrong end. */
export const MAX_DURATION_MS = 366 * 24 * 60 * 60 * 1_000;

/** When something happened, as far as that is known. */
export interface ReportedTime {
  /** What is shown: the agent's time, or the time of receipt if the agent's clock is wrong. */
  readonly shownMs: number;
  /** What later reports are compared with. With a wrong clock this is 0, so the next report counts as later. */
  readonly orderMs: number;
}

export function reportedTime(agentMs: number, receivedAtMs: number): ReportedTime {
  if (isAhead(agentMs, receivedAtMs)) return { shownMs: receivedAtMs, orderMs: 0 };
  return { shownMs: agentMs, orderMs: agentMs };
}

/**
 * Whether a report is not older than the one before; of two at the same time the later report counts.
 * @param orderMs of the one before; a time ahead of the server's clock, which earlier versions kept, is no obstacle
 */
export function isLatest(
  { shownMs }: ReportedTime,
  orderMs: number | undefined,
  receivedAtMs: number,
): boolean {
  return orderMs === undefined || isAhead(orderMs, receivedAtMs) || orderMs <= shownMs;
}

function isAhead(agentMs: number, receivedAtMs: number): boolean {
  return agentMs > receivedAtMs + MAX_AHEAD_MS;
}
