import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { messageOf } from '../../src/errors.ts';

/** A file system of two megabytes, or of another size. It is unmounted after the test. */
export class SmallDisk {
  readonly path: string;

  constructor(size = '2m') {
    this.path = mkdtempSync(join(tmpdir(), 'restic-manager-disk-'));
    onTestFinished(() => unmount(this.path));
    mount(this.path, size);
  }

  /** Fills all remaining space. */
  fill(): void {
    const { bavail, bsize } = statfsSync(this.path);
    writeFileSync(this.#filler, Buffer.alloc(Number(bavail) * Number(bsize)));
    if (Number(statfsSync(this.path).bavail) !== 0) throw new Error('there is still room');
  }

  free(): void {
    unlinkSync(this.#filler);
  }

  get #filler(): string {
    return join(this.path, 'filler');
  }
}

/** The reason why no file system can be mounted here, found by trying; empty if one can. */
export function whyNoSmallDisk(): string {
  const path = mkdtempSync(join(tmpdir(), 'restic-manager-disk-'));
  try {
    mount(path, '2m');
    return '';
  } catch (error) {
    const message = messageOf(error);
    return `cannot mount a tmpfs: ${/^mount: .*?: (.*)$/m.exec(message)?.[1] ?? message}`;
  } finally {
    unmount(path);
  }
}

function mount(path: string, size: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], { stdio: 'pipe' });
}

function unmount(path: string): void {
  try {
    // Lazy unmount, because a server that was just killed may still have files open.
    execFileSync('umount', ['-l', path], { stdio: 'pipe' });
  } catch {
    // It was never mounted.
  }
  rmSync(path, { recursive: true, force: true });
}
