/** What decides whether a build of uWebSockets.js can be loaded. */
export interface System {
  /** `process.versions.node` */
  readonly node: string;
  /** `process.platform` */
  readonly platform: string;
  /** `process.arch` */
  readonly arch: string;
  /** Version of the GNU C library, such as `2.36`; undefined on systems that do not use it, such as Alpine. */
  readonly glibc: string | undefined;
}

export function thisSystem(): System {
  const report = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return {
    node: process.versions.node,
    platform: process.platform,
    arch: process.arch,
    glibc: report.header.glibcVersionRuntime,
  };
}

/** Major versions of Node that the builds are for. */
const NODE_MAJORS = [22, 24, 26];
/** The older build is only for this version of Node. It loads with any glibc that runs Node 22. */
const COMPAT_NODE_MAJOR = 22;
/** The current build contains symbols of this version (`objdump -T`). */
const CURRENT_GLIBC = '2.38';

/**
 * Explains why no build of uWebSockets.js could be loaded, and what to do.
 * @param failures the messages of the builds that were tried
 */
export function explainNoBuild(
  { node, platform, arch, glibc }: System,
  failures: readonly string[],
): string {
  const major = Number(node.split('.')[0]);
  const reason = () => {
    if (!NODE_MAJORS.includes(major)) {
      return `there is no build for Node ${node}; use Node ${NODE_MAJORS.slice(0, -1).join(', ')} or ${NODE_MAJORS.at(-1)}`;
    }
    if (!['x64', 'arm64'].includes(arch)) {
      return `there is no build for ${arch}; use a machine with x64 or arm64`;
    }
    if (platform === 'linux' && glibc === undefined) {
      return 'there is no build for a system without glibc, such as Alpine; use one with glibc, such as Debian';
    }
    // The older build, which is there for such systems, is for one version of Node only.
    if (major !== COMPAT_NODE_MAJOR && failures.some((failure) => failure.includes('GLIBC'))) {
      return `this system is too old: the build for Node ${major} needs glibc ${CURRENT_GLIBC}, and this system has ${glibc}; use Node ${COMPAT_NODE_MAJOR}, or a newer system such as Debian 13 or Ubuntu 24.04`;
    }
    return `the build for Node ${major} is not installed, because another version of Node ran npm; with Node ${major}, run npm ci in a checkout, or install the package again`;
  };
  return `uWebSockets.js cannot be loaded: ${reason()}`;
}
