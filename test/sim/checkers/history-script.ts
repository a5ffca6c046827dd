/** Histories written by hand, for the tests of the checkers. */
import { expect } from "bun:test";
import { concatBytes } from "../../../src/base/bytes.ts";
import { parseContent, recordOf } from "../content.ts";
import {
  type AppendCall,
  History,
  type ListCall,
  type MakeDirectoryCall,
  type MoveCall,
  type PurgeCall,
  type PutCall,
  type RangeCall,
  type ReadCall,
  type RemoveCall,
  type RestoreCall,
  type RetainCall,
  type Violation,
} from "../history.ts";
import { checkAppendOnly } from "./append-only.ts";
import { checkLinearizable } from "./linearizability.ts";
import { checkRanges } from "./ranges.ts";
import { checkWholeFiles } from "./whole-files.ts";

/** Histories by hand: each operation is called and ended in the order of the statements. */
export class Script {
  readonly history = new History(() => 0);

  append(path: string, bytes = 20, lane = "c1"): AppendCall {
    const call = this.history.call("c1", path);
    return this.history.add<AppendCall>({
      ...call,
      kind: "append",
      bytes,
      create: true,
      found: call.called,
      lane,
      offsets: [],
    });
  }

  appended(path: string, offset: number, lane = "c1"): AppendCall {
    const call = this.append(path, 20, lane);
    this.ends(call, offset);
    return call;
  }

  ends(call: AppendCall, offset: number): void {
    call.offsets.push(offset);
    this.history.done(call);
  }

  put(path: string, overwrite = true): PutCall {
    const call = this.history.call("c1", path);
    return this.history.add<PutCall>({ ...call, kind: "put", bytes: 20, overwrite });
  }

  putDone(path: string): PutCall {
    const call = this.put(path);
    this.history.done(call);
    return call;
  }

  removed(path: string): void {
    const call = { ...this.history.call("c1", path), kind: "remove", recursive: true, skipTrash: false } as const;
    this.history.done(this.history.add<RemoveCall>(call));
  }

  madeDirectory(path: string): void {
    const base = this.history.call("c1", path);
    this.history.done(this.history.add<MakeDirectoryCall>({ ...base, kind: "mkdir", parents: false }));
  }

  restored(path: string): void {
    this.history.done(this.history.add<RestoreCall>({ ...this.history.call("c1", path), kind: "restore" }));
  }

  purged(path: string, below = false): void {
    this.history.done(this.history.add<PurgeCall>({ ...this.history.call("c1", path), kind: "purge", below }));
  }

  /** 0: nothing that is removed in the directory is kept. */
  retained(path: string, trashMs: number | undefined): void {
    this.history.done(this.history.add<RetainCall>({ ...this.history.call("c1", path), kind: "retain", trashMs }));
  }

  listed(path: string, names: readonly string[] | undefined): void {
    const base = this.history.call("c1", path);
    this.history.done(this.history.add<ListCall>({ ...base, kind: "list", names }));
  }

  /** A part of a file, as these bytes. */
  readRange(path: string, range: { readonly offset: number; readonly length: number }, bytes: Uint8Array): void {
    const base = this.history.call("c2", path);
    this.history.done(this.history.add<RangeCall>({ ...base, kind: "range", ...range, bytes }));
  }

  moved(path: string, to: string): void {
    const base = this.history.call("c1", path);
    this.history.done(this.history.add<MoveCall>({ ...base, kind: "move", to, overwrite: true }));
  }

  /** A read that saw exactly these operations' records; undefined: no file. */
  read(path: string, seen: readonly { readonly id: number; readonly bytes: number }[] | undefined): ReadCall {
    return this.readBytes(path, seen && concatBytes(seen.map(({ id, bytes }) => recordOf(id, bytes))));
  }

  readBytes(path: string, content: Uint8Array | undefined): ReadCall {
    const base = this.history.call("c2", path);
    const call: ReadCall = { ...base, kind: "read", content: content && parseContent(content) };
    this.history.add(call);
    this.history.done(call);
    return call;
  }

  judge(): Violation[] {
    const order = checkLinearizable(this.history, ["/g"]);
    expect(order.undecided).toEqual([]);
    return [
      ...checkWholeFiles(this.history),
      ...checkAppendOnly(this.history),
      ...checkRanges(this.history),
      ...order.violations,
    ];
  }
}

export function judged(write: (script: Script) => void): string[] {
  const script = new Script();
  write(script);
  return script.judge().map(({ promise, what }) => `${promise} ${what}`);
}
