import { describe, expect, test } from "bun:test";
import { GfsError } from "../../../src/base/errors.ts";
import { formatPlace, parsePlace } from "../../../src/client/outcome.ts";
import { appendRecordBytesMax } from "../../../src/limits.ts";
import { draftId, inodeId, sequence, sessionId } from "../../../src/wire/ids.ts";
import { codeOf, FakeCluster, readAll, sample, testLimits } from "./fake-cluster.ts";

const small = appendRecordBytesMax(testLimits.chunkBytes);
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const utf8 = (line: string): Uint8Array => new TextEncoder().encode(line);

async function caught(promise: Promise<unknown>): Promise<GfsError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof GfsError) return error;
  }
  throw new Error("no GfsError");
}

describe("append", () => {
  test("makes the file, and tells where each record lies", () => {
    const cluster = new FakeCluster();
    const offsets = cluster.with(async (client) => {
      const results = [];
      for (const line of ["one\n", "two\n", "three\n"]) results.push(await client.appendToFile("/log", utf8(line)));
      return results.map(({ offset, bytes }) => [offset, bytes]);
    });
    expect(offsets).toEqual([
      [0, 4],
      [4, 4],
      [8, 6],
    ]);
    expect(text(cluster.content("/log"))).toBe("one\ntwo\nthree\n");
  });

  test.each([
    ["plain", {}],
    ["under a key", { id: "k" }],
  ])(
    "of a large record, %s, writes at least where the sealed part ends while nobody tells where the file does",
    (_, options) => {
      const cluster = new FakeCluster();
      cluster.addFile("/log", [sample(1_000), sample(500)]);
      cluster.before = (name) => {
        if (name === "file-length") throw new GfsError("Unavailable", "its tail is being sealed");
      };
      cluster.with((client) => client.appendToFile("/log", sample(testLimits.chunkBytes), options));
      expect(cluster.servers.flatMap(({ origins }) => origins)).toEqual([1_500]);
    },
  );

  test("without --create to a missing file, to a directory's place, of nothing", () => {
    const cluster = new FakeCluster();
    const outcome = cluster.with(async (client) => [
      await codeOf(client.appendToFile("/none", utf8("x"), { create: false })),
      (await client.appendToFile("/empty", new Uint8Array(0))).offset,
    ]);
    expect(outcome).toEqual(["NotFound", 0]);
    expect([...cluster.files.keys()]).toEqual(["/empty"]);
  });

  test("that is refused says so, whatever the master was asked", () => {
    const cluster = new FakeCluster();
    const texts = cluster.with(async (client) => {
      const told = async (promise: Promise<unknown>): Promise<string> => (await caught(promise)).message;
      const lookup = [
        await told(client.appendToFile("/none", utf8("x"), { create: false })),
        await told(client.appender("/none", { create: false })),
      ];
      cluster.before = (name) => {
        if (name === "draft-create") throw new GfsError("NotDirectory", "Cannot put /a/b: /a is a file");
      };
      return [...lookup, await told(client.appendToFile("/a/b", utf8("x")))];
    });
    expect(texts).toEqual([
      "Cannot append to /none: no such file or directory",
      "Cannot append to /none: no such file or directory",
      "Cannot append to /a/b: /a is a file",
    ]);
  });

  test.each([small, small + 1, 3 * testLimits.chunkBytes + 7])("of %i bytes at once is all there, once", (bytes) => {
    const cluster = new FakeCluster();
    const data = sample(bytes);
    const got = cluster.with(async (client) => {
      await client.appendToFile("/f", utf8("before"));
      expect((await client.appendToFile("/f", data)).offset).toBe(6);
      await client.appendToFile("/f", utf8("after"));
      return readAll(client, "/f");
    });
    expect(got).toEqual(Uint8Array.from([...utf8("before"), ...data, ...utf8("after")]));
  });

  test("of a whole pipeline keeps the order, through the loss of each primary in turn", () => {
    const cluster = new FakeCluster();
    const count = 300;
    cluster.servers[0]!.trouble.appendsBeforeBreak = 50;
    cluster.servers[1]!.trouble.appendsBeforeBreak = 90;
    const offsets = cluster.with(async (client) => {
      await using appender = await client.appender("/log");
      const answers: Promise<{ offset: number }>[] = [];
      for (let i = 0; i < count; i++) {
        await appender.ready();
        if (i === 60) cluster.machines[0]!.crash({ powerLoss: false });
        if (i === 200) cluster.machines[1]!.pause(60_000);
        answers.push(appender.append(utf8(`${i}\n`)));
      }
      return (await Promise.all(answers)).map(({ offset }) => offset);
    });
    const lines = Array.from({ length: count }, (_, i) => `${i}\n`);
    expect(text(cluster.content("/log"))).toBe(lines.join(""));
    let at = 0;
    for (const [i, line] of lines.entries()) {
      expect(offsets[i]).toBe(at);
      at += line.length;
    }
  });

  test("in an appender, small and large ones lie in the order of the calls", () => {
    const cluster = new FakeCluster();
    const records = [10, small + 1, 20, 30, small + 5_000, 5].map((bytes, i) => sample(bytes, i + 1));
    cluster.with(async (client) => {
      await using appender = await client.appender("/log");
      await Promise.all(records.map((record) => appender.append(record)));
    });
    expect(cluster.content("/log")).toEqual(Uint8Array.from(records.flatMap((record) => [...record])));
  });

  test("that is never answered has an unknown outcome, and can be repeated by its id from another client: once", () => {
    const cluster = new FakeCluster();
    cluster.addFile("/log", []);
    for (const { trouble } of cluster.servers) trouble.silent = true;
    let tails = 0;
    cluster.before = (name) => {
      if (name === "append-tail" && tails++ > 0) throw new GfsError("Busy", "a seal is under way");
    };
    const id = cluster.with(async (client) => {
      const error = await caught(client.appendToFile("/log", utf8("once\n")));
      expect(error.code).toBe("OutcomeUnknown");
      return String(error.details["id"]);
    });
    expect(parsePlace(id)).toBeDefined();
    cluster.before = () => {};
    for (const { trouble } of cluster.servers) trouble.silent = false;
    const offsets = cluster.with(async (client) => [
      (await client.appendToFile("/log", utf8("once\n"), { id })).offset,
      (await client.appendToFile("/log", utf8("once\n"), { id })).offset,
      await codeOf(client.appendToFile("/log", utf8("else\n"), { id })),
    ]);
    expect(offsets).toEqual([0, 0, "IdReused"]);
    expect(text(cluster.content("/log"))).toBe("once\n");
  });

  test("that was never sent goes to the file that has taken the path; one that was sent does not", () => {
    const cluster = new FakeCluster();
    const replaceBefore = (message: string): void => {
      cluster.before = (name) => {
        if (name !== message) return;
        cluster.before = () => {};
        cluster.addFile("/log", []);
      };
    };
    cluster.with(async (client) => {
      replaceBefore("append-tail");
      await client.appendToFile("/log", utf8("new"));
      replaceBefore("draft-create");
      await client.appendToFile("/log", sample(small + 1));
      replaceBefore("draft-create");
      await client.appendToFile("/log", utf8("keyed"), { id: "k" });
      expect(text(cluster.content("/log"))).toBe("keyed");
      // From the claim on, a key is for one file: another process with it may have appended there already.
      replaceBefore("append-tail");
      expect(await codeOf(client.appendToFile("/log", utf8("claimed"), { id: "k2" }))).toBe("OutcomeUnknown");
    });
    expect(text(cluster.content("/log"))).toBe("");
    for (const { trouble } of cluster.servers) trouble.silent = true;
    const sent = cluster.with(async (client, { clock }) => {
      clock.after(300, () => cluster.addFile("/log", []));
      return codeOf(client.appendToFile("/log", utf8("lost")));
    });
    expect(sent).toBe("OutcomeUnknown");
    expect(text(cluster.content("/log"))).toBe("");
  });
});

describe("the first append to a missing file makes it, all or nothing (P3)", () => {
  async function* breaksOff(bytes: number): AsyncGenerator<Uint8Array> {
    yield sample(bytes);
    throw new GfsError("LocalFile", "Cannot read standard input: it broke off");
  }

  test.each([
    ["no server takes it", utf8("x"), {}, "TooFewServers"],
    ["no server takes it, under a key", utf8("x"), { id: "k" }, "TooFewServers"],
    ["no server takes it, large", sample(small + 1), {}, "TooFewServers"],
    ["its stream breaks off early", { kind: "stream", stream: breaksOff(10), spoolDirectory: "/" }, {}, "LocalFile"],
    ["its stream breaks off late", { kind: "stream", stream: breaksOff(3e6), spoolDirectory: "/" }, {}, "LocalFile"],
  ] as const)("%s: there is none afterwards", (_, data, options, code) => {
    const cluster = new FakeCluster();
    if (code === "TooFewServers")
      for (const { trouble } of cluster.servers) trouble.refuseWrites = new GfsError("NoSpace", "it is full");
    expect(cluster.with((client) => codeOf(client.appendToFile("/new", data, options)))).toBe(code);
    expect([...cluster.files.keys()]).toEqual([]);
    // The draft of a key waits for the next one who has it, until it expires.
    const ended = "id" in options ? "live" : "ended";
    for (const { state } of cluster.drafts.values()) expect(state).toBe(ended);
  });

  test.each([
    ["small", sample(100), {}],
    ["small, under a key", sample(100), { id: "k" }],
    ["large", sample(small + 1), {}],
    ["large, under a key", sample(small + 1), { id: "k" }],
  ])("%s: where others have made it meanwhile, it goes behind what they wrote", (_, data, options) => {
    for (const message of ["draft-create", "draft-commit"]) {
      const cluster = new FakeCluster();
      cluster.before = (name) => {
        if (name !== message) return;
        cluster.before = () => {};
        cluster.addFile("/new", [utf8("theirs")]);
      };
      const { offset } = cluster.with((client) => client.appendToFile("/new", data, options));
      expect(offset).toBe(6);
      expect(cluster.content("/new")).toEqual(Uint8Array.from([...utf8("theirs"), ...data]));
    }
  });

  test("many at once from one client, and from none is anything lost", () => {
    const cluster = new FakeCluster();
    const records = Array.from({ length: 20 }, (_, i) => sample(100 + i, i + 1));
    const offsets = cluster.with((client) =>
      Promise.all(records.map(async (record) => (await client.appendToFile("/new", record)).offset)),
    );
    const content = cluster.content("/new");
    expect(content.length).toBe(records.reduce((sum, { length }) => sum + length, 0));
    for (const [i, offset] of offsets.entries())
      expect([...content.subarray(offset, offset + 100 + i)]).toEqual([...records[i]!]);
  });

  test("whose commit is not answered is unknown, and repeated by its id takes effect once", () => {
    for (const lost of ["before", "after"] as const) {
      const cluster = new FakeCluster();
      cluster[lost] = async (name: string) => {
        if (name === "draft-commit") await new Promise(() => {});
      };
      const error = cluster.with((client) => caught(client.appendToFile("/new", utf8("once"))));
      expect(error.code).toBe("OutcomeUnknown");
      const id = String(error.details["id"]);
      expect(parsePlace(id)).toMatchObject({ kind: "draft", content: { bytes: 4 } });
      cluster[lost] = () => {};
      for (let i = 0; i < 2; i++)
        expect(cluster.with(async (client) => (await client.appendToFile("/new", utf8("once"), { id })).offset)).toBe(
          0,
        );
      expect(text(cluster.content("/new"))).toBe("once");
    }
  });

  test.each(["draft-create", "chunk-allocate", "draft-commit"])(
    "under a key, by a process that dies after its %s, is finished, or found finished, by the next one",
    (dies) => {
      const cluster = new FakeCluster();
      cluster.after = async (name) => {
        if (name === dies) await new Promise(() => {});
      };
      cluster.with((client) => codeOf(client.appendToFile("/new", utf8("once"), { id: "k" })));
      cluster.after = () => {};
      for (let i = 0; i < 2; i++)
        cluster.with(async (client) => {
          expect(await client.appendToFile("/new", utf8("once"), { id: "k" })).toMatchObject({ offset: 0, bytes: 4 });
        });
      expect(text(cluster.content("/new"))).toBe("once");
    },
  );

  test("under a key, by two processes at once, takes effect once", () => {
    const cluster = new FakeCluster();
    const offsets = cluster.with((client) =>
      Promise.all(
        Array.from({ length: 4 }, async () => (await client.appendToFile("/new", utf8("once"), { id: "k" })).offset),
      ),
    );
    expect(offsets).toEqual([0, 0, 0, 0]);
    expect(text(cluster.content("/new"))).toBe("once");
  });
});

describe("append under a key", () => {
  test.each([
    ["small", sample(100)],
    ["large", sample(2 * testLimits.chunkBytes + 1)],
  ])("of %s data takes effect once, from whatever process, and other content or another file is refused", (_, data) => {
    const cluster = new FakeCluster();
    cluster.addFile("/log", [utf8("start")]);
    const once = () =>
      cluster.with(async (client) => (await client.appendToFile("/log", data, { id: "job-1" })).offset);
    expect([once(), once()]).toEqual([5, 5]);
    const others = cluster.with(async (client) => [
      await codeOf(client.appendToFile("/log", data.with(0, (data[0] ?? 0) ^ 1), { id: "job-1" })),
      await codeOf(client.appendToFile("/log", data.slice(1), { id: "job-1" })),
      await codeOf(client.appendToFile("/log", sample(data.length < 1_000 ? 200_000 : 9), { id: "job-1" })),
      await codeOf(client.appendToFile("/else", data, { id: "job-1" })),
      (await client.appendToFile("/log", data, { id: "job-2" })).offset,
    ]);
    expect(others).toEqual(["IdReused", "IdReused", "IdReused", "IdReused", 5 + data.length]);
    expect(cluster.content("/log").length).toBe(5 + 2 * data.length);
  });

  test.each(["draft-create", "chunk-allocate", "draft-commit"])(
    "that dies after its %s is finished, or found finished, by the next one",
    (dies) => {
      const cluster = new FakeCluster();
      const data = sample(2 * testLimits.chunkBytes + 1);
      cluster.after = async (name) => {
        if (name === dies) await new Promise(() => {});
      };
      const died = cluster.with((client) => codeOf(client.appendToFile("/log", data, { id: "k" })));
      expect(died).not.toBe("done");
      cluster.after = () => {};
      for (let i = 0; i < 2; i++)
        cluster.with(async (client) => {
          expect(await client.appendToFile("/log", data, { id: "k" })).toMatchObject({ offset: 0, bytes: data.length });
        });
      expect(cluster.content("/log")).toEqual(data);
    },
  );

  test("whose draft expired takes the next one", () => {
    const cluster = new FakeCluster();
    const data = sample(2 * testLimits.chunkBytes + 1);
    let expired = 0;
    cluster.before = (name) => {
      if (name === "draft-commit" && expired++ === 0)
        for (const draft of cluster.drafts.values()) draft.state = "ended";
    };
    cluster.with((client) => client.appendToFile("/log", data, { id: "k" }));
    expect(cluster.content("/log")).toEqual(data);
  });

  test("of a stream is the same as of its bytes", () => {
    const cluster = new FakeCluster();
    const data = sample(1_300_000);
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < data.length; at += 100_000) yield data.slice(at, at + 100_000);
    }
    const offsets = cluster.with(async (client) => {
      const source = { kind: "stream", stream: pieces(), spoolDirectory: "/" } as const;
      const first = await client.appendToFile("/log", source, { id: "k" });
      return [first.offset, (await client.appendToFile("/log", data, { id: "k" })).offset];
    });
    expect(offsets).toEqual([0, 0]);
    expect(cluster.content("/log")).toEqual(data);
  });
});

describe("ids of unknown outcomes", () => {
  test("are parsed as they were written, and what is no place is a key", () => {
    const common = { session: sessionId(2 ** 40), inode: inodeId(12), sequence: sequence(3) };
    const places = [
      { kind: "record", ...common } as const,
      { kind: "draft", ...common, draft: draftId(44), content: { bytes: 10, crc: 0xffff_ffff } } as const,
    ];
    for (const place of places) expect(parsePlace(formatPlace(place))).toEqual(place);
    for (const key of ["", "job-1", "@", "@1.2", "@1.2.r0", "@1.2.d3", "@1.2.r3x", "@01.2.r3"])
      expect(parsePlace(key)).toBeUndefined();
  });
});

test("a large append whose commit lost its answer, and whose session has ended since, is told to be unknown and not repeated", () => {
  const cluster = new FakeCluster();
  let commits = 0;
  cluster.after = async (name) => {
    if (name === "draft-commit" && ++commits === 1) await new Promise(() => {});
  };
  cluster.before = async (name) => {
    if (name === "draft-commit" && commits === 1) throw new GfsError("SessionExpired", "it has ended");
  };
  const record = sample(small * 3);
  const code = cluster.with((client) => codeOf(client.appendToFile("/f", record)));
  expect(code).toBe("OutcomeUnknown");
  expect(cluster.content("/f").length).toBe(record.length);
});
