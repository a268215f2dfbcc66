// Packs the package and checks the tarball: with publint, with are-the-types-wrong, and in an empty project
// that installs it, imports it, type-checks against it and runs its commands.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const USE = `
import { createMetrics } from 'restic-manager-metrics';

const { default: uWS } = await import('uWebSockets.js').catch(() => import('uWebSockets.js-compat'));

const metrics = createMetrics({ gates: { token: 'secret' } });
metrics.registry.observeJob('backup', 'succeeded', 1500);
metrics.fleet.upsert({ hostId: '01ARZ3NDEKTSV4RRFFQ69G5FAV', host: 'web-1', online: true });
const app = uWS.App();
metrics.mount(app);
app.listen('127.0.0.1', 0, async (socket) => {
  if (!socket) throw new Error('cannot listen');
  const url = 'http://127.0.0.1:' + uWS.us_socket_local_port(socket) + '/metrics';
  const response = await fetch(url, { headers: { Authorization: 'Bearer secret' } });
  const row = (await response.text()).match(/^rm_host_agent_online\\{.+ 1$/m)?.[0];
  if (response.status !== 200 || !row) throw new Error('the body has no row for the host: ' + response.status);
  console.log(row);
  app.close();
  await metrics.close();
});
`;

// An outer `npx -c` passes its options on in these variables. The npm started here must not get them.
const { npm_config_call: _, npm_config_package: __, ...env } = process.env;

const run = (command, args, options = {}) => {
  console.log(`$ ${command} ${args.join(' ')}`);
  return execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env,
    ...options,
  });
};

const directory = mkdtempSync(join(tmpdir(), 'restic-manager-package-'));
try {
  const packed = run('npm', ['pack', '--silent', '--pack-destination', directory])
    .trim()
    .split('\n');
  const tarball = join(directory, packed.at(-1));
  console.log(run('node_modules/.bin/publint', [tarball]));
  console.log(run('node_modules/.bin/attw', ['--profile', 'esm-only', tarball]));

  const project = join(directory, 'project');
  execFileSync('mkdir', [project]);
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  run('npm', ['install', '--silent', '--no-audit', tarball], { cwd: project });
  writeFileSync(join(project, 'use.ts'), USE);
  run(
    process.execPath,
    [
      resolve('node_modules/typescript/bin/tsc'),
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--types',
      '',
      '--skipLibCheck',
      'use.ts',
    ],
    { cwd: project },
  );
  console.log(run(process.execPath, ['use.ts'], { cwd: project }));
  console.log(run('node_modules/.bin/restic-manager', ['--version'], { cwd: project }));
  console.log(run('node_modules/.bin/restic-report', ['--version'], { cwd: project }));
  // npx runs the command that has the same name as the package.
  console.log(run('npx', ['restic-manager-metrics', '--version'], { cwd: project }));
} finally {
  rmSync(directory, { recursive: true, force: true });
}
