import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { type Environment, loadSettings, SettingsError } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/settings.ts';

/** A directory for the files of one test file. */
export const dir = mkdtempSync(join(tmpdir(), 'rm-config-'));
afterAll(() => rmSync(dir, { recursive: true }));

let files = 0;

/** Writes a file of its own; @returns its path */
export function file(content: string | Uint8Array): string {
  const path = join(dir, `file-${files++}`);
  writeFileSync(path, content);
  return path;
}

export function settings(env: Environment, yaml?: string): Settings {
  return loadSettings(env, yaml === undefined ? undefined : file(yaml)).settings;
}

export function refusal(env: Environment, configFile?: string): SettingsError {
  try {
    loadSettings(env, configFile);
  } catch (error) {
    if (error instanceof SettingsError) return error;
    throw error;
  }
  throw new Error('these settings were accepted');
}

/** What is wrong, the path of the YAML file shown as `rm.yaml`. */
export function errors(env: Environment, yaml?: string): readonly string[] {
  if (yaml === undefined) return refusal(env).errors;
  const configFile = file(yaml);
  return refusal(env, configFile).errors.map((error) => error.replaceAll(configFile, 'rm.yaml'));
}
