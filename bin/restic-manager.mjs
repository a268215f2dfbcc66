#!/usr/bin/env -S node --max-semi-space-size=4
// Without the limit, V8 keeps up to 48 MiB for young objects when thousands of agents connect at once: 1.3 KiB per agent.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
require('../scripts/require-node.cjs');
await import('../dist/cli.js');
