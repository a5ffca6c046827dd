import { readFileSync, statSync } from "node:fs";
import { GfsError } from "../../src/base/errors.ts";
import type { Config } from "../../src/config/resolve.ts";
import { fileReason } from "../../src/host/address.ts";
import { parseSecret } from "../../src/net/secret.ts";

/** The cluster secret that the configuration names; undefined where it names none. @throws GfsError("ConfigInvalid") */
export function readSecret(config: Config): Uint8Array | undefined {
  const path = config.get("cluster.secret_file");
  if (path === undefined) return undefined;
  let text: string;
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) {
      throw new GfsError(
        "ConfigInvalid",
        `Cannot use the secret in ${path}: others may read it; run chmod 600 ${path}`,
      );
    }
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof GfsError) throw error;
    throw new GfsError("ConfigInvalid", `Cannot read the secret in ${path}: ${fileReason(error)}`);
  }
  return parseSecret(text, path);
}
