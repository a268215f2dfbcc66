import type { StoreClient } from '../loop/doors/store-client.ts';
import type { PlannedHost } from './fleet.ts';

export interface EnrolledHost {
  readonly plan: PlannedHost;
  readonly token: string;
}

const AT_A_TIME = 500;

/** Enrols the hosts as `hosts add` does; those that are done when `end` is aborted are the last. */
export async function enrol(
  plans: readonly PlannedHost[],
  store: StoreClient,
  end: AbortSignal,
): Promise<EnrolledHost[]> {
  const enrolled: EnrolledHost[] = [];
  while (enrolled.length < plans.length && !end.aborted) {
    const next = plans.slice(enrolled.length, enrolled.length + AT_A_TIME);
    const hosts = next.map(({ host }) => host);
    const answers = await store.submit('addHosts', { hosts });
    for (const [index, { token }] of answers.entries()) {
      enrolled.push({ plan: next[index] as PlannedHost, token });
    }
  }
  return enrolled;
}
