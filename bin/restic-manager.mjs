#!/usr/bin/env -S node --max-semi-space-size=4
// Left alone, V8 keeps up to 48 MiB for young objects once thousands of agents connect at once: 1.3 KiB for each.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
require('../scripts/require-node.cjs');
await import('../dist/cli.js');
