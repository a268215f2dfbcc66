#!/usr/bin/env node
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
require('../scripts/require-node.cjs');
await import('../dist/cli.js');
