import { loadSettings, SettingsError } from '../config/load.ts';
import { needingRestart } from '../config/reload.ts';
import type { Settings } from '../config/settings.ts';
import { type ControlPlane, startControlPlane } from '../control-plane/control-plane.ts';
import { createLog, type Logger } from '../platform/log.ts';
import { type Command, expectArguments, parseFlags } from './command.ts';

/** Shutdown must end within ten seconds, so that a supervisor does not kill the process. */
const SHUTDOWN_LIMIT_MS = 9_000;
/** Time limit for closing sockets after a fatal error. */
const ABANDON_LIMIT_MS = 2_000;

export const serve: Command = {
  usage: `restic-manager serve [--config FILE]

Run the control plane until SIGTERM or SIGINT.

  --config FILE  settings in YAML; RM_* variables override it (default: RM_CONFIG)

Prints its addresses to standard output and logs to standard error. SIGHUP reloads the token file, the
certificate and its key. SIGTERM and SIGINT stop the server.`,
  async run(args) {
    const { values, positionals } = parseFlags(args, { config: { type: 'string' } });
    expectArguments(positionals, []);
    const { settings, unknownVariables } = loadSettings(process.env, values.config);
    const log = createLog(settings.logLevel);
    for (const variable of unknownVariables) log.warn({ variable }, 'unknown variable ignored');
    let running: ControlPlane | undefined;
    let isDead = false;
    const onDeath = (error: unknown) => {
      if (isDead) return;
      isDead = true;
      log.fatal({ err: error }, 'fatal error, exiting');
      setTimeout(() => process.exit(1), ABANDON_LIMIT_MS);
      void Promise.resolve(running?.abandon()).finally(() => process.exit(1));
    };
    const starting = startControlPlane({ settings, log, onDeath });
    closeOnSignal(starting, log);
    reloadOnSignal(starting, settings, values.config, log);
    const controlPlane = await starting;
    running = controlPlane;
    console.log(`listening on ${controlPlane.url}`);
    if (controlPlane.metricsUrl) console.log(`metrics on ${controlPlane.metricsUrl}/metrics`);
  },
};

/** A signal that arrives during the start takes effect when the start is complete. */
function closeOnSignal(starting: Promise<ControlPlane>, log: Logger): void {
  let closing = false;
  const close = async (signal: NodeJS.Signals) => {
    if (closing) return;
    closing = true;
    log.info({ signal }, 'shutting down');
    setTimeout(() => {
      log.error('shutdown timed out, exiting');
      process.exit(1);
    }, SHUTDOWN_LIMIT_MS).unref();
    const controlPlane = await starting.catch(() => undefined);
    if (controlPlane === undefined) return; // the caller of `run` reports why it did not start
    await controlPlane.close();
    log.info('shutdown complete, all acknowledged data is stored');
    process.exit(0);
  };
  process.on('SIGTERM', close);
  process.on('SIGINT', close);
}

function reloadOnSignal(
  starting: Promise<ControlPlane>,
  atStart: Settings,
  config: string | undefined,
  log: Logger,
): void {
  process.on('SIGHUP', async () => {
    const controlPlane = await starting.catch(() => undefined);
    if (controlPlane === undefined) return;
    try {
      const { settings } = loadSettings(process.env, config);
      controlPlane.reload({ token: settings.access.token, tls: settings.tls });
      const ignored = needingRestart(atStart, settings);
      log.info(
        ignored.length > 0 ? { needs_restart: ignored } : {},
        'reloaded the token, the certificate and its key',
      );
    } catch (error) {
      const errors = error instanceof SettingsError ? error.errors : undefined;
      log.error(errors ? { faults: errors } : { err: error }, 'reload failed, nothing changed');
    }
  });
}
