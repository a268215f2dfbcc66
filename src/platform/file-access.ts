import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, resolve } from 'node:path';

const { R_OK, W_OK, X_OK } = constants;

/**
 * Explains why this process cannot access a file: `user alice cannot read /etc/x, which belongs to root`.
 * @returns undefined if permissions are not the reason
 */
export function permissionProblem(file: string, access: 'read' | 'write'): string | undefined {
  try {
    return findProblem(resolve(file), access);
  } catch {
    // The path is too long, contains a null character, or is a loop of links: no question of permissions.
    return undefined;
  }
}

function findProblem(path: string, access: 'read' | 'write'): string | undefined {
  for (const directory of ancestors(path)) {
    const stats = statSync(directory, { throwIfNoEntry: false });
    if (stats === undefined) break;
    if (!stats.isDirectory()) return undefined;
    if (isDenied(directory, X_OK)) return sentence('cannot enter', directory);
  }
  if (existsSync(path)) {
    if (isDenied(path, R_OK)) return sentence('cannot read', path);
    if (access === 'write' && isDenied(path, W_OK)) return sentence('cannot write', path);
    return undefined;
  }
  const parent = ancestors(path).findLast((directory) => existsSync(directory)) ?? '/';
  if (access === 'write' && isDenied(parent, W_OK | X_OK)) {
    return sentence('cannot create files in', parent);
  }
  return undefined;
}

/** The directories that contain `path`, the root first. */
function ancestors(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [] : [...ancestors(parent), parent];
}

function isDenied(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES';
  }
}

function sentence(what: string, path: string): string {
  return `user ${userName(process.getuid?.())} ${what} ${path}, which belongs to ${userName(statSync(path).uid)}`;
}

/** Returns the name of a user, or the number if it has no name here. */
function userName(uid: number | undefined): string {
  try {
    if (uid === undefined) return userInfo().username; // Windows has no numbers
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((line) => line.split(':')[2] === String(uid));
    return line?.split(':')[0] ?? String(uid);
  } catch {
    return String(uid);
  }
}
