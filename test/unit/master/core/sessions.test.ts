import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { protocol } from "../../../../src/limits.ts";
import { appendTableOf, newAnswers, tableForTail } from "../../../../src/master/core/append-tables.ts";
import { decideExpiry, decideSessionClose, decideSessionOpen } from "../../../../src/master/core/decide-sessions.ts";
import { admitMutation, touchSessions } from "../../../../src/master/core/sessions.ts";
import { inodeId, sequence, sessionId } from "../../../../src/wire/ids.ts";
import { mergeAppendTable } from "../../../../src/master/core/append-tables.ts";
import { CoreDriver, mutationId, refusal } from "./core-driver.ts";

const open = (driver: CoreDriver, key?: string) =>
  driver.do(decideSessionOpen(driver.state, key === undefined ? { label: "" } : { key, label: "" }, driver.now))
    .session;

const idAt = (session: number, at: number, floor = 1) => ({
  session: sessionId(session),
  sequence: sequence(at),
  floor: sequence(floor),
});
const answered = (at: number, message = "mkdir", print?: number) => ({
  ...idAt(1, at),
  message,
  reply: new Uint8Array([at & 0xff]),
  ...(print === undefined ? {} : { print }),
});

describe("sessions", () => {
  test("a retry gets the first answer", () => {
    const driver = new CoreDriver();
    open(driver);
    expect(admitMutation(driver.state.sessions, mutationId(1), { message: "mkdir" })).toEqual({ kind: "new" });
    driver.log([], answered(1));
    const again = admitMutation(driver.state.sessions, mutationId(1), { message: "mkdir" });
    expect(again).toEqual({ kind: "answered", reply: new Uint8Array([1]) });
  });

  test("an id that comes with another message or other content is IdReused", () => {
    const driver = new CoreDriver();
    open(driver);
    driver.log([], answered(1, "mkdir", 77));
    const admit = (request: { message: string; print?: number }) =>
      admitMutation(driver.state.sessions, mutationId(1), request);
    refusal("IdReused", () => admit({ message: "remove", print: 77 }));
    refusal("IdReused", () => admit({ message: "mkdir", print: 78 }));
    expect(admit({ message: "mkdir", print: 77 }).kind).toBe("answered");
    expect(admit({ message: "mkdir" }).kind).toBe("answered");
  });

  test("a number that was never given, a closed session and a forgotten answer are SessionExpired", () => {
    const driver = new CoreDriver();
    const session = open(driver);
    const admit = (at: ReturnType<typeof idAt>) => admitMutation(driver.state.sessions, at, { message: "mkdir" });
    refusal("SessionExpired", () => admit(idAt(9, 1)));
    driver.log([], answered(1));
    driver.log([], { ...answered(2), floor: sequence(2) });
    refusal("SessionExpired", () => admit(idAt(1, 1)));
    driver.do(decideSessionClose(driver.state, { session }));
    refusal("SessionExpired", () => admit(idAt(1, 2)));
    expect(open(driver)).toBe(sessionId(2));
  });

  test("at most mutationWindow sequences are between the floor and a new one", () => {
    const driver = new CoreDriver();
    open(driver);
    const admit = (at: number, floor: number) =>
      admitMutation(driver.state.sessions, idAt(1, at, floor), { message: "mkdir" });
    expect(admit(protocol.mutationWindow, 1).kind).toBe("new");
    refusal("Busy", () => admit(protocol.mutationWindow + 1, 1));
    expect(admit(protocol.mutationWindow + 1, 2).kind).toBe("new");
    refusal("ProtocolError", () => admit(5, 6));
  });

  test("every mutation takes effect once, however often and in whatever order it is sent", () => {
    const send = fc.record({ at: fc.integer({ min: 1, max: 30 }), acknowledge: fc.boolean() });
    fc.assert(
      fc.property(fc.array(send, { maxLength: 120, size: "max" }), (sends) => {
        const driver = new CoreDriver();
        open(driver);
        const effects = new Map<number, number>();
        let floor = 1;
        for (const { at, acknowledge } of sends) {
          if (acknowledge) while (effects.has(floor)) floor++;
          if (at < floor) {
            // What was acknowledged is never executed again.
            const admit = () => admitMutation(driver.state.sessions, idAt(1, at, at), { message: "m" });
            const first = driver.state.sessions.byId.get(sessionId(1))!;
            if (first.floor > at) refusal("SessionExpired", admit);
            else expect(admit().kind).toBe("answered");
            continue;
          }
          const admission = admitMutation(driver.state.sessions, idAt(1, at, floor), { message: "m" });
          expect(admission.kind).toBe(effects.has(at) ? "answered" : "new");
          if (admission.kind === "answered") continue;
          effects.set(at, (effects.get(at) ?? 0) + 1);
          driver.log([], { ...answered(at, "m"), floor: sequence(floor) });
        }
        expect([...effects.values()].every((count) => count === 1)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test("the same key gets the same session, also after a close", () => {
    const driver = new CoreDriver();
    const session = open(driver, "nightly");
    expect(open(driver, "nightly")).toBe(session);
    driver.do(decideSessionClose(driver.state, { session }));
    expect(open(driver, "nightly")).toBe(session);
    expect(open(driver, "other")).not.toBe(session);
    expect(
      driver.batches.flatMap((batch) => batch.records).filter(({ kind }) => kind === "session-opened").length,
    ).toBe(2);
  });

  test.each([
    ["just before its idle time is over", 999, false],
    ["when its idle time is over", 1_000, true],
  ])("a session %s: ended is %p", (_, afterMs, ended) => {
    const driver = new CoreDriver({ sessionIdleMs: 1_000, draftMs: 1_000_000 });
    open(driver);
    driver.clusterMs += afterMs;
    driver.log(decideExpiry(driver.state, driver.now, 10));
    expect(driver.state.sessions.byId.size).toBe(ended ? 0 : 1);
  });

  test("a sign of life, a mutation and a start of the master each begin the idle time anew", () => {
    for (const begin of [
      (driver: CoreDriver) => touchSessions(driver.state.sessions, [sessionId(1), sessionId(77)], driver.clusterMs),
      (driver: CoreDriver) => driver.log([], answered(1)),
      (driver: CoreDriver) =>
        driver.log([{ kind: "epoch-begun", epoch: { number: 1, startId: "0".repeat(16) }, wallMs: 5 }]),
    ]) {
      const driver = new CoreDriver({ sessionIdleMs: 1_000 });
      open(driver);
      driver.clusterMs += 600;
      begin(driver);
      driver.clusterMs += 600;
      expect(decideExpiry(driver.state, driver.now, 10)).toEqual([]);
      driver.clusterMs += 400;
      expect(decideExpiry(driver.state, driver.now, 10).length).toBe(1);
    }
  });
});

describe("append tables", () => {
  const entry = (session: number, ...sequences: number[]) => ({
    session: sessionId(session),
    answers: sequences.map((at) => ({ sequence: sequence(at), fileOffset: at * 10, bytes: 10, crc: at })),
  });

  test("each seal's table replaces what it is ahead of, and nothing newer", () => {
    const { appendTables } = new CoreDriver().state;
    const inode = inodeId(7);
    const merge = (...table: ReturnType<typeof entry>[]) => mergeAppendTable(appendTables, inode, table, () => true);
    merge(entry(2, 1), entry(1, 1, 2));
    merge(entry(1, 1), entry(3, 4));
    merge(entry(2, 1, 2));
    expect(appendTableOf(appendTables, inode)).toEqual([entry(1, 1, 2), entry(2, 1, 2), entry(3, 4)]);
  });

  test("an entry leaves with its session, and one of an ended session never enters", () => {
    const driver = new CoreDriver();
    const [first, second] = [open(driver), open(driver)];
    const { appendTables, sessions } = driver.state;
    const isOpen = (session: typeof first) => sessions.byId.has(session);
    mergeAppendTable(appendTables, inodeId(7), [entry(1, 1), entry(2, 1)], isOpen);
    driver.do(decideSessionClose(driver.state, { session: first }));
    expect(appendTableOf(appendTables, inodeId(7))).toEqual([entry(2, 1)]);
    mergeAppendTable(appendTables, inodeId(7), [entry(1, 2)], isOpen);
    expect(appendTableOf(appendTables, inodeId(7))).toEqual([entry(2, 1)]);
    driver.do(decideSessionClose(driver.state, { session: second }));
    expect(appendTables.byInode.size + appendTables.inodesOf.size).toBe(0);
  });

  test("a seal logs what is new of open sessions, and it follows what is held", () => {
    const driver = new CoreDriver();
    const [first] = [open(driver), open(driver)];
    const { appendTables, sessions } = driver.state;
    const isOpen = (session: typeof first) => sessions.byId.has(session);
    const inode = inodeId(7);
    mergeAppendTable(appendTables, inode, [entry(1, 1, 2), entry(2, 1)], isOpen);
    const table = [entry(1, 2, 3), entry(2, 1), entry(99, 1)];
    const added = newAnswers(appendTables, inode, { table, isOpen });
    expect(added).toEqual([entry(1, 3)]);
    mergeAppendTable(appendTables, inode, added, isOpen);
    expect(appendTableOf(appendTables, inode)).toEqual([entry(1, 1, 2, 3), entry(2, 1)]);
    expect(newAnswers(appendTables, inode, { table: [entry(1, 3)], isOpen })).toEqual([]);
  });

  const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, i) => from + i);

  test("an inode keeps the last answers of a session, however many tails it appended to", () => {
    const { appendTables } = new CoreDriver().state;
    for (let from = 1; from < 1_000; from += 10)
      mergeAppendTable(appendTables, inodeId(7), [entry(1, ...upTo(10, from))], () => true);
    expect(appendTableOf(appendTables, inodeId(7))).toEqual([entry(1, ...upTo(64, 937))]);
  });

  test.each([
    [6, [3, 2, 1]],
    [5, [2, 2, 1]],
    [3, [1, 1, 1]],
  ])("a tail begins with %d answers at most: the oldest are left out first, the last of none", (most, counts) => {
    const { appendTables } = new CoreDriver().state;
    mergeAppendTable(appendTables, inodeId(7), [entry(1, 1, 2, 3), entry(2, 4, 5), entry(3, 1)], () => true);
    const table = tableForTail(appendTables, inodeId(7), most);
    expect(table.map(({ answers }) => answers.length)).toEqual(counts);
    expect(table.map(({ answers }) => Number(answers.at(-1)?.sequence))).toEqual([3, 5, 1]);
  });

  test("a tail is refused, not opened without a session, where more than fit are open", () => {
    const { appendTables } = new CoreDriver().state;
    mergeAppendTable(appendTables, inodeId(7), [entry(1, 1), entry(2, 1), entry(3, 1)], () => true);
    expect(refusal("Busy", () => tableForTail(appendTables, inodeId(7), 2))).toContain("3 open sessions");
  });

  test("10 000 sessions of one record each leave nothing behind when they are closed", () => {
    const driver = new CoreDriver();
    const ids = upTo(10_000).map(() => open(driver));
    const { appendTables, sessions } = driver.state;
    const isOpen = (session: (typeof ids)[number]) => sessions.byId.has(session);
    for (const id of ids.slice(0, 9_990)) driver.do(decideSessionClose(driver.state, { session: id }));
    const table = ids.map((id) => entry(id, 1));
    const added = newAnswers(appendTables, inodeId(7), { table, isOpen });
    expect(added.length).toBe(10);
    mergeAppendTable(appendTables, inodeId(7), added, isOpen);
    for (const id of ids.slice(9_990)) driver.do(decideSessionClose(driver.state, { session: id }));
    expect(appendTables.byInode.size + appendTables.inodesOf.size).toBe(0);
  });
});
