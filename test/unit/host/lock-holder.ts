/**
 * Takes the lock of the directory given, says `locked` or the kind of the refusal, and stays until it is killed, or its standard
 * input ends. Keeps no reference to the lock, and collects garbage: the lock must last all the same.
 */
import { makeHostDisk } from "../../../src/host/disk.ts";
import { DiskError } from "../../../src/io.ts";

try {
  await makeHostDisk().lock(process.argv[2] ?? "");
  Bun.gc(true);
  await Bun.sleep(10);
  Bun.gc(true);
  console.log("locked");
} catch (error) {
  console.log(error instanceof DiskError ? error.kind : String(error));
}
for await (const _ of Bun.stdin.stream()) Bun.gc(true);
