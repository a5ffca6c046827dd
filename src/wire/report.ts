/** The packed entries of a report page: 28 bytes a replica, little endian. */
import { readUint53, viewOf, writeUint53 } from "../base/bytes.ts";
import { GfsError } from "../base/errors.ts";
import { reportEntryBytes, type ReplicaReport, type ReplicaState } from "./control/chunkservers.ts";
import { chunkHandle, chunkVersion } from "./ids.ts";

const states: readonly ReplicaState[] = ["writing", "open", "fenced", "sealed", "corrupt"];

// offset 0: handle u64 · 8: promisedVersion u32 · 12: dataVersion u32 · 16: length u32 · 20: crc u32 · 24: state u8 · 25: zero

export function packReport(replicas: readonly ReplicaReport[]): Uint8Array {
  const bytes = new Uint8Array(replicas.length * reportEntryBytes);
  const view = viewOf(bytes);
  let at = 0;
  for (const replica of replicas) {
    writeUint53(view, at, replica.handle);
    view.setUint32(at + 8, replica.promisedVersion, true);
    view.setUint32(at + 12, replica.dataVersion, true);
    view.setUint32(at + 16, replica.length, true);
    view.setUint32(at + 20, replica.crc, true);
    view.setUint8(at + 24, states.indexOf(replica.state));
    at += reportEntryBytes;
  }
  return bytes;
}

/** @throws GfsError("ProtocolError") for entries that no volume can have written. */
export function unpackReport(bytes: Uint8Array): ReplicaReport[] {
  if (bytes.length % reportEntryBytes !== 0)
    throw new GfsError("ProtocolError", `Cannot read a report page: ${bytes.length} bytes are no whole entries`);
  const view = viewOf(bytes);
  const replicas: ReplicaReport[] = [];
  for (let at = 0; at < bytes.length; at += reportEntryBytes) {
    const handle = readUint53(view, at);
    const state = states[view.getUint8(at + 24)];
    if (handle === undefined || handle === 0 || state === undefined)
      throw new GfsError("ProtocolError", "Cannot read a report page: an entry is out of range");
    replicas.push({
      handle: chunkHandle(handle),
      promisedVersion: chunkVersion(view.getUint32(at + 8, true)),
      dataVersion: chunkVersion(view.getUint32(at + 12, true)),
      length: view.getUint32(at + 16, true),
      crc: view.getUint32(at + 20, true),
      state,
    });
  }
  return replicas;
}
