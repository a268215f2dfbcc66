#!/usr/bin/env -S node --max-semi-space-size=4
// Without the limit, V8 keeps up to 48 MiB for young objects when thousands of agents connect at once: 1.3 KiB per agent.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
require('../scripts/require-node.cjs');
// A checkout has the sources, which Node runs as they are. The published package has only the compiled files.
const source = new URL('../src/cli.ts', import.meta.url);
await import(existsSync(source) ? source.href : '../dist/cli.js');
