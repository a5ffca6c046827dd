import { describe, expect, test } from "bun:test";
import type { z } from "zod";
import { crc32 } from "../../../src/base/checksum.ts";
import { GfsError, hasCode, isErrorCode } from "../../../src/base/errors.ts";
import type { World } from "../../../src/io.ts";
import type { Limits } from "../../../src/limits.ts";
import { ControlClient } from "../../../src/net/control-client.ts";
import { sleep } from "../../../src/net/deadline.ts";
import { errorOfFrame, type FrameConnection } from "../../../src/net/frame-connection.ts";
import { FramePool } from "../../../src/net/frame-pool.ts";
import type { MessageType } from "../../../src/wire/control/common.ts";
import { appendTail, createFile, fileLength, sessionClose, sessionOpen } from "../../../src/wire/control/files.ts";
import { remove } from "../../../src/wire/control/namespace.ts";
import { AppendOpen, encodeHeader } from "../../../src/wire/data/headers.ts";
import { decodeAppendAnswer, encodeAppend } from "../../../src/wire/data/records.ts";
import { type InodeId, sequence, type SessionId } from "../../../src/wire/ids.ts";
import { Cluster } from "../cluster.ts";
import { History } from "../history.ts";
import { simLimits } from "../sim-limits.ts";
import { noFaults } from "../world/fault-settings.ts";
import type { Machine } from "../world/machine.ts";
import { Simulation } from "../world/simulation.ts";

const recordBytes = 5;

/** One client of a cluster without faults that appends as many command lines do: each record in a session of its own. */
class Appenders {
  readonly simulation = new Simulation(77, { faults: noFaults });
  readonly cluster: Cluster;
  readonly machine: Machine;
  readonly control: ControlClient;
  readonly pool: FramePool;

  constructor(changes: Partial<Limits>) {
    const history = new History(() => this.simulation.nowMs);
    const limits = { ...simLimits, ...changes };
    this.cluster = new Cluster(this.simulation, history, { chunkservers: 3, limits, masterDirectories: 1 });
    this.cluster.start();
    this.simulation.runFor(3_000);
    this.machine = this.simulation.machine("client");
    this.control = new ControlClient(this.machine.world, { role: "client", clusterId: () => undefined });
    this.pool = new FramePool(this.machine.world, { role: "client" });
  }

  do<T>(code: (world: World) => Promise<T>): T {
    return this.simulation.do(this.machine, code, 600_000);
  }

  async ask<Request extends z.ZodType, Reply extends z.ZodType>(
    to: MessageType<Request, Reply>,
    request: z.infer<Request>,
  ): Promise<z.infer<Reply>> {
    for (;;) {
      try {
        return await this.control.call(this.cluster.masterAddress, to, request, { timeoutMs: 2_000 });
      } catch (error) {
        if (!hasCode(error, "Busy")) throw error;
        await sleep(this.machine.world.clock, error.retryAfterMs ?? 100);
      }
    }
  }

  async newSession(key?: string): Promise<SessionId> {
    return (await this.ask(sessionOpen, { label: "", ...(key === undefined ? {} : { key }) })).session;
  }

  async newFile(path: string): Promise<InodeId> {
    const id = { session: await this.newSession(), sequence: sequence(1), floor: sequence(1) };
    return (await this.ask(createFile, { id, path, mode: "new" })).inode;
  }

  /** Record 1 of the session, until it is answered; where it lies. */
  async append(inode: InodeId, session: SessionId): Promise<number> {
    for (;;) {
      const tail = await this.ask(appendTail, { inode, session, recordBytes });
      const [primary] = tail.chain;
      if (primary === undefined) throw new Error("a tail has a chain");
      const frames = await this.pool.take(primary.data, 1_000);
      const { handle, version } = tail;
      frames.send(
        "appendOpen",
        session,
        encodeHeader(AppendOpen, { volume: primary.volume, handle, version, inode, session }),
      );
      try {
        await answerOf(frames);
        const record = new Uint8Array(recordBytes).fill(session % 251);
        frames.send("append", session, encodeAppend(sequence(1), crc32(record)), [record]);
        const answer = decodeAppendAnswer(await answerOf(frames));
        if (answer.kind === "done") return answer.answer.fileOffset;
        const { code, message } = answer.refusal.error;
        throw new GfsError(isErrorCode(code) ? code : "Bug", message);
      } catch (error) {
        if (!hasCode(error, "ChunkFull", "ChunkClosed", "VersionStale", "NotPrimary", "ReplicaMissing")) throw error;
      } finally {
        frames.close();
      }
      await sleep(this.machine.world.clock, 20);
    }
  }
}

async function answerOf(frames: FrameConnection) {
  const frame = await frames.read();
  if (frame === null) throw new GfsError("Unavailable", "the connection ended");
  if (frame.type === "error") throw errorOfFrame(frame, frames.remote);
  return frame;
}

describe("DESIGN §4.3 appends of very many sessions to one file", () => {
  test("10 000 sessions of one record each go over many tails: each once, and the file can be told and removed", () => {
    const appenders = new Appenders({ appendSessionsMax: 500 });
    const inode = appenders.do(() => appenders.newFile("/log"));
    const offsets: number[] = [];
    appenders.do(async () => {
      // A key's session stays open over all the tails: its retry gets the first answer.
      const keyed = await appenders.newSession("key");
      const first = await appenders.append(inode, keyed);
      offsets.push(first);
      const lane = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) {
          const session = await appenders.newSession();
          offsets.push(await appenders.append(inode, session));
          await appenders.ask(sessionClose, { session });
        }
      };
      await Promise.all(Array.from({ length: 33 }, () => lane(303)));
      expect(await appenders.append(inode, keyed)).toBe(first);
    });
    expect(offsets.length).toBe(10_000);
    expect(offsets.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 10_000 }, (_, i) => i * recordBytes));
    expect(appenders.do(() => appenders.ask(fileLength, { inode })).bytes).toBe(10_000 * recordBytes);
    appenders.do(async () => {
      const id = { session: await appenders.newSession(), sequence: sequence(1), floor: sequence(1) };
      await appenders.ask(remove, { id, path: "/log", recursive: false, skipTrash: false });
    });
  }, 120_000);

  test("sessions that stay open fill the table of the file: more are refused, and a closed one makes room", () => {
    const appenders = new Appenders({ appendSessionsMax: 20, appendTableMax: 40 });
    const inode = appenders.do(() => appenders.newFile("/log"));
    appenders.do(async () => {
      const sessions: SessionId[] = [];
      const offsets: number[] = [];
      // Two tails of 20 are handed on whole; a third fills what 40 leaves.
      for (let i = 0; i < 60; i++) {
        const session = await (i < 20 ? appenders.newSession() : appenders.newSession(`key ${i}`));
        sessions.push(session);
        offsets.push(await appenders.append(inode, session));
      }
      const late = await appenders.newSession("late");
      const asked = appenders.append(inode, late);
      await sleep(appenders.machine.world.clock, 5_000);
      for (const session of sessions.splice(0, 20)) await appenders.ask(sessionClose, { session });
      expect(await asked).toBe(60 * recordBytes);
      for (const [i, session] of sessions.entries())
        expect(await appenders.append(inode, session)).toBe(offsets[i + 20] ?? -1);
    });
  }, 120_000);

  test("a session that ended is given no tail, so that it can't append again what nobody remembers", () => {
    const appenders = new Appenders({});
    const inode = appenders.do(() => appenders.newFile("/log"));
    const session = appenders.do(() => appenders.newSession());
    appenders.do(() => appenders.append(inode, session));
    appenders.do(() => appenders.ask(sessionClose, { session }));
    expect(() => appenders.do(() => appenders.append(inode, session))).toThrow("has ended");
  });
});
