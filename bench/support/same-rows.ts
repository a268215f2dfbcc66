/**
 * Rows that only our contestant has and that change with each scrape: about its scrapes and about
 * the server.
 */
const ABOUT_SERVER = /^(nodejs_|process_|rm_agent_|rm_scrape|rm_store_)/;
/**
 * Relative tolerance for sums: some contestants add in another order, or add floating-point
 * seconds.
 */
const TOLERANCE = 1e-9;

/**
 * Checks that two bodies show the same samples, in any order and notation.
 * @throws Error that names a few of the differences
 */
export function assertSameRows(expected: string, actual: string, who: string): void {
  const [wanted, found] = [samples(expected), samples(actual)];
  const wrong: string[] = [];
  for (const [series, value] of wanted) {
    const got = found.get(series);
    if (got === undefined || Math.abs(got - value) > Math.abs(value) * TOLERANCE) {
      wrong.push(`${series} is ${got}, not ${value}`);
    }
  }
  for (const series of found.keys()) if (!wanted.has(series)) wrong.push(`${series} is too many`);
  if (wrong.length > 0) {
    throw new Error(`${who} shows other samples:\n  ${wrong.slice(0, 5).join('\n  ')}`);
  }
}

function samples(body: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of body.split('\n')) {
    if (line === '' || line.startsWith('#') || ABOUT_SERVER.test(line)) continue;
    const space = line.lastIndexOf(' ');
    found.set(ordered(line.slice(0, space)), Number(line.slice(space + 1)));
  }
  return found;
}

/** The series, with its labels sorted by name. */
function ordered(series: string): string {
  const brace = series.indexOf('{');
  if (brace === -1) return series;
  const labels = series.slice(brace + 1, -1).match(/\w+="(?:[^"\\]|\\.)*"/g) ?? [];
  return labels.length === 0 ? series.slice(0, brace) : series.slice(0, brace) + labels.sort();
}
