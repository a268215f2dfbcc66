import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test } from 'vitest';
import { enrol } from '../../src/demo/enrolment.ts';
import { planFleet } from '../../src/demo/fleet.ts';
import { Store } from '../../src/loop/doors/store.ts';
import { temporaryDirectory } from '../support/serve.ts';

test('each host of a fleet that is enrolled in several steps has the token of its name', async () => {
  const dataDir = temporaryDirectory();
  const store = await Store.open({
    dataDir,
    databaseUrl: undefined,
    missing: 'create',
    serving: undefined,
  });
  onTestFinished(() => store.close());
  const client = store.connect();
  const plans = planFleet(1_100);
  expect(await enrol(plans, client, AbortSignal.abort()), 'the end comes first').toEqual([]);
  const enrolled = await enrol(plans, client, new AbortController().signal);
  expect(enrolled.map(({ plan }) => plan)).toEqual(plans);
  const db = new DatabaseSync(join(dataDir, 'fleet.db'));
  const rows = db.prepare('SELECT host, hex(token_digest) AS digest FROM hosts').all();
  db.close();
  const hosts = new Map(rows.map(({ host, digest }) => [digest, host]));
  const digestOf = (token: string) =>
    createHash('sha256').update(token).digest('hex').toUpperCase();
  expect(enrolled.map(({ token }) => hosts.get(digestOf(token)))).toEqual(
    plans.map(({ host }) => host),
  );
});
