import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { GENERATED } from './generated.ts';

for (const { file, text } of GENERATED) {
  writeFileSync(file, text(existsSync(file) ? readFileSync(file, 'utf8') : ''));
}
