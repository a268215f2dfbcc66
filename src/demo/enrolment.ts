import type { StoreClient } from '../loop/doors/store-client.ts';
import type { PlannedHost } from './fleet.ts';

export interface EnrolledHost {
  readonly plan: PlannedHost;
  readonly token: string;
}

const MAX_HOSTS_PER_OPERATION = 500;

/**
 * Enrols hosts as the command `hosts add` does. If `end` is aborted, it returns the hosts enrolled
 * so far.
 */
export async function enrol(
  plans: readonly PlannedHost[],
  store: StoreClient,
  end: AbortSignal,
): Promise<EnrolledHost[]> {
  const enrolled: EnrolledHost[] = [];
  while (enrolled.length < plans.length && !end.aborted) {
    const next = plans.slice(enrolled.length, enrolled.length + MAX_HOSTS_PER_OPERATION);
    const hosts = next.map(({ host }) => host);
    const answers = await store.submit('addHosts', { hosts });
    for (const [index, { token }] of answers.entries()) {
      enrolled.push({ plan: next[index] as PlannedHost, token });
    }
  }
  return enrolled;
}
