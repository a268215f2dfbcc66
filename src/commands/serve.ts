import { loadSettings } from '../config/load.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { createLog, type Logger } from '../platform/log.ts';
import { type Command, expectArguments, parseFlags } from './command.ts';

/** A supervisor is promised ten seconds. */
const SHUTDOWN_LIMIT_MS = 9_000;

export const serve: Command = {
  usage: `restic-manager serve [--config FILE]

  --config FILE  settings in YAML; RM_* variables override it (default: RM_CONFIG)

Prints where it listens on standard output and logs to standard error.`,
  async run(args) {
    const { values, positionals } = parseFlags(args, { config: { type: 'string' } });
    expectArguments(positionals, []);
    const { settings, unknownVariables } = loadSettings(process.env, values.config);
    const log = createLog(settings.logLevel);
    for (const variable of unknownVariables) log.warn({ variable }, 'unknown variable, ignored');
    const onDeath = (error: unknown) => {
      log.fatal({ err: error }, 'cannot go on');
      process.exit(1);
    };
    const starting = startControlPlane({ settings, log, onDeath });
    closeOnSignal(starting, log);
    const controlPlane = await starting;
    console.log(`listening on ${controlPlane.url}`);
    if (controlPlane.metricsUrl) console.log(`metrics on ${controlPlane.metricsUrl}/metrics`);
  },
};

/** A signal during the start counts as well, once there is something to close. */
function closeOnSignal(starting: Promise<ControlPlane>, log: Logger): void {
  let closing = false;
  const close = async (signal: NodeJS.Signals) => {
    if (closing) return;
    closing = true;
    log.info({ signal }, 'shutting down');
    setTimeout(() => {
      log.error('shutting down took too long');
      process.exit(1);
    }, SHUTDOWN_LIMIT_MS).unref();
    const controlPlane = await starting.catch(() => undefined);
    if (controlPlane === undefined) return; // why is said where it was started
    await controlPlane.close();
    log.info('everything is on disk');
    process.exit(0);
  };
  process.on('SIGTERM', close);
  process.on('SIGINT', close);
}
