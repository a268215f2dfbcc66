import { parseArgs } from 'node:util';
import { wholeNumber } from '../support/command-line.ts';
import type { FailoverOptions } from './run.ts';
import { SCENARIOS } from './scenarios.ts';

export const USAGE = `npm run failover -- [--agents N] [--instances N] [--rate N] [--strict] [SCENARIO…]

  --agents N     number of agents; default 300
  --instances N  number of control planes; default 3
  --rate N       finished jobs per second, of all agents together; default 600
  --strict       with Patroni's synchronous_mode_strict
${SCENARIOS.map(({ name, what }) => `  ${name.padEnd(14)}  ${what}`).join('\n')}

Runs the first five scenarios by default, which takes six minutes. Needs Patroni, etcd and PostgreSQL (Debian: patroni,
etcd-server, postgresql). All data is in a temporary directory. The last line says whether it passed.`;

/** @throws Error that says what would be valid */
export function parseCommandLine(args: readonly string[]): FailoverOptions | 'help' {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      agents: { type: 'string', default: '300' },
      instances: { type: 'string', default: '3' },
      rate: { type: 'string', default: '600' },
      strict: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const named = positionals.map((name) => {
    const scenario = SCENARIOS.find((one) => one.name === name);
    if (scenario === undefined) throw new Error(`${name}: no such scenario`);
    return scenario;
  });
  return {
    agents: wholeNumber('--agents', values.agents, 10_000),
    instances: wholeNumber('--instances', values.instances, 16),
    rate: wholeNumber('--rate', values.rate, 100_000),
    isStrict: values.strict,
    scenarios: named.length === 0 ? SCENARIOS.filter(({ isDefault }) => isDefault) : named,
  };
}
