import { MAX_AHEAD_MS } from '../../contract/last-jobs.ts';

/*
 * Agents report times of their own clocks, and some of these clocks are wrong. The corrections for
 * wrong clocks are in this file. The agent protocol has already refused job times before the year 2000.
 */

/** Maximum duration of a job. The start or the finish time of a longer one must be wrong. */
export const MAX_DURATION_MS = 366 * 24 * 60 * 60 * 1_000;

/** The time of a reported event, corrected for a wrong clock. */
export interface ReportedTime {
  /** The time to show: the agent's time, or the time of receipt if the agent's clock is wrong. */
  readonly shownMs: number;
  /**
   * The time with which later reports are compared. It is 0 if the agent's clock is wrong, so that the
   * next report counts as later.
   */
  readonly orderMs: number;
}

export function reportedTime(agentMs: number, receivedAtMs: number): ReportedTime {
  if (isAhead(agentMs, receivedAtMs)) return { shownMs: receivedAtMs, orderMs: 0 };
  return { shownMs: agentMs, orderMs: agentMs };
}

/**
 * Returns whether a report is at least as late as the latest one so far.
 * @param orderMs of the latest report so far. A time ahead of the server's clock, as earlier versions
 * stored it, is ignored.
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
