import { openInMemory } from '../../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../../src/store-thread/sqlite/engine.ts';
import { describeStore } from '../contract.cases.ts';

describeStore(
  'SQLite',
  () => new SqliteEngine(openInMemory(), undefined, { serves: true, onForgottenJobs: () => {} }),
);
