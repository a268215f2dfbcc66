import { type Answer, type Ask, ask } from './http.ts';
import { TOKEN } from './serve.ts';

export const AUTHORIZED = { Authorization: `Bearer ${TOKEN}` };

/** An answer of the API with its JSON. */
export interface ApiAnswer extends Answer {
  // biome-ignore lint/suspicious/noExplicitAny: tests compare it with what they expect
  readonly json: any;
}

/**
 * Asks the API with the token of the tests.
 * @param url of the listener
 */
export async function askApi(
  url: string,
  path: string,
  { method = 'GET', headers = {} }: Ask = {},
): Promise<ApiAnswer> {
  const answer = await ask(`${url}${path}`, { method, headers: { ...AUTHORIZED, ...headers } });
  const isJson = answer.headers['content-type'] === 'application/json; charset=utf-8';
  const text = answer.body.toString();
  return { ...answer, json: isJson && text !== '' ? JSON.parse(text) : undefined };
}

/** The names of all hosts of a list, page by page. */
export async function allNames(
  url: string,
  parameters: string,
  betweenPages: () => Promise<unknown> = async () => {},
): Promise<string[]> {
  const names: string[] = [];
  for (let next: string | null = ''; next !== null; ) {
    const after: string = next === '' ? '' : `&after=${next}`;
    const { status, json } = await askApi(url, `/api/hosts?${parameters}${after}`);
    if (status !== 200) throw new Error(`${status}: ${JSON.stringify(json)}`);
    names.push(...json.hosts.map(({ host }: { host: string }) => host));
    next = json.next;
    if (next !== null) await betweenPages();
  }
  return names;
}
