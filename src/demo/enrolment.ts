import type { StoreClient } from '../store/store-client.ts';
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
    const answers = await Promise.all(
      next.map(async (plan) => {
        const { token } = await store.submit('addHost', { host: plan.host });
        return { plan, token };
      }),
    );
    enrolled.push(...answers);
  }
  return enrolled;
}
