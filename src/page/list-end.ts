import { number } from './units.ts';

/** A longer list helps nobody. Filters and the search find the others. */
const MAX_HOSTS = 2_000;

/** What stands below the list. */
export interface ListEnd {
  readonly text: string;
  readonly canShowMore: boolean;
}

/** @param hasMore whether the server has more hosts than the `hosts` that are listed */
export function listEnd(hosts: number, hasMore: boolean): ListEnd {
  const canShowMore = hasMore && hosts < MAX_HOSTS;
  if (hosts === 0) return { text: '', canShowMore };
  if (!hasMore) return { text: `${number(hosts)} shown`, canShowMore };
  const hint = canShowMore ? '' : ' Filter or search to see the others.';
  return { text: `The first ${number(hosts)} shown, worst first.${hint}`, canShowMore };
}
