/**
 * Where a run lives. With root, or where a user may make namespaces: in mount, network and process namespaces of its own, which end with it, so that nothing
 * can be left behind, however it dies. Elsewhere: beside everything else on this machine.
 */

/** What this machine lets a run do; found out, never installed. */
export interface Surroundings {
  /** In namespaces of its own. */
  readonly contained: boolean;
  /** Each host a network namespace, with packet filters between them. */
  readonly namespaces: boolean;
  readonly tmpfs: boolean;
  /** The library that moves a process's wall clock; undefined where there is none. */
  readonly faketime: string | undefined;
  /** Which faults can't be made here, and why. */
  readonly missing: readonly string[];
}

const faketimeNames = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/faketime/libfaketimeMT.so.1",
  "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/** Runs a command to its end; its output where it succeeded. */
export function attempt(...command: readonly string[]): string | undefined {
  if (Bun.which(command[0] ?? "") === null) return undefined;
  const { exitCode, stdout } = Bun.spawnSync([...command], { stdin: "ignore", stderr: "ignore" });
  return exitCode === 0 ? stdout.toString() : undefined;
}

/** @throws Error with what it wrote, where it fails. */
export function must(...command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command], { stdin: "ignore", stdout: "ignore" });
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}: ${stderr.toString()}`);
}

/** What a command is put behind to run in new namespaces; undefined where those can't be made. */
export function containment(): readonly string[] | undefined {
  const own = ["--mount", "--net", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"];
  for (const user of [[], ["--user", "--map-root-user"]]) {
    // The first process in there is a shell: it takes leave of processes whose parents died.
    const command = ["unshare", ...user, ...own, "sh", "-c", '"$@"; exit $?', "sh"];
    if (attempt(...command, "true") !== undefined) return command;
  }
  return undefined;
}

/** In a contained process: makes its mounts its own, and finds out what else works. Elsewhere that nothing does. */
export function look(contained: boolean): Surroundings {
  const missing: string[] = [];
  if (!contained) {
    const why = "no namespaces here (root, or unprivileged user namespaces)";
    missing.push(`partitions by packet filter: ${why}`, `full disks: ${why}`, `clock shifts: ${why}`);
    return { contained, namespaces: false, tmpfs: false, faketime: undefined, missing };
  }
  must("mount", "--make-rprivate", "/");
  // Names of network namespaces, locks of iptables and shared memory of libfaketime are gone with these.
  const tmpfs = ["/run", "/dev/shm"].every((path) => attempt("mount", "-t", "tmpfs", "tmpfs", path) !== undefined);
  if (!tmpfs) missing.push("full disks: a tmpfs can't be mounted here");
  const namespaces = canLink();
  if (!namespaces) missing.push("partitions by packet filter: ip or iptables is missing, or may not");
  const faketime = tmpfs ? faketimeNames.find((path) => attempt("test", "-r", path) !== undefined) : undefined;
  if (faketime === undefined) missing.push("clock shifts: libfaketime is not installed");
  return { contained, namespaces, tmpfs, faketime, missing };
}

function canLink(): boolean {
  const tried =
    attempt("ip", "link", "set", "lo", "up") !== undefined &&
    attempt("ip", "netns", "add", "probe") !== undefined &&
    attempt("ip", "link", "add", "probe0", "type", "veth", "peer", "name", "eth0", "netns", "probe") !== undefined &&
    attempt("iptables", "-t", "nat", "-L") !== undefined &&
    attempt("ip", "netns", "exec", "probe", "iptables", "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP") !== undefined;
  attempt("ip", "link", "del", "probe0");
  attempt("ip", "netns", "del", "probe");
  return tried;
}
