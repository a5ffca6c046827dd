import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { arenaBytesMax, ByteArena } from "../../../../src/master/core/byte-arena.ts";
import { Column } from "../../../../src/master/core/column.ts";

describe("columns", () => {
  test("an entry keeps its number across the growth of the first page and into the next ones", () => {
    const column = new Column("f64");
    const indexes = [0, 255, 256, 65_535, 65_536, 200_000, 3];
    for (const index of indexes) column.set(index, index * 3 + 2 ** 40);
    for (const index of indexes) expect(column.get(index)).toBe(index * 3 + 2 ** 40);
    expect(column.get(70_000)).toBe(0);
    expect(column.get(9_000_000)).toBe(0);
  });

  test("a column with few entries is small", () => {
    const column = new Column("u32");
    column.set(900, 1);
    expect(column.bytes).toBe(4_096);
  });

  test("a run is set and read as one by one, across pages and beyond what was set", () => {
    const makers = [new Uint32Array(70_000), new Uint32Array(1), new Uint32Array(300)];
    fc.assert(
      fc.property(fc.constantFrom(...makers), fc.constantFrom(0, 100, 255, 65_500, 131_071), (values, from) => {
        const [one, run] = [new Column("u32"), new Column("u32")];
        for (let i = 0; i < values.length; i++) values[i] = i * 7 + 1;
        run.setRun(from, values);
        for (let i = 0; i < values.length; i++) one.set(from + i, values[i]!);
        const read = new Uint32Array(values.length + 200).fill(9);
        run.getRun(Math.max(0, from - 100), read);
        expect(read).toEqual(read.map((_, i) => one.get(Math.max(0, from - 100) + i)));
      }),
      { numRuns: 30 },
    );
  });

  test("each type keeps its largest number", () => {
    const largest = [
      ["u8", 255],
      ["u16", 65_535],
      ["u32", 2 ** 32 - 1],
      ["f64", Number.MAX_SAFE_INTEGER],
    ] as const;
    for (const [type, value] of largest) {
      const column = new Column(type);
      column.set(1_000, value);
      expect(column.get(1_000)).toBe(value);
    }
  });
});

describe("byte arena", () => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: arenaBytesMax, size: "max" }));

  test("strings stay as they were put, whatever comes and goes around them", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(bytes, fc.boolean(), fc.nat()), { maxLength: 60, size: "max" }), (steps) => {
        const arena = new ByteArena();
        const held: { address: number; value: Uint8Array }[] = [];
        for (const [value, free, which] of steps) {
          if (free && held.length > 0) arena.free(held.splice(which % held.length, 1)[0]!.address);
          else held.push({ address: arena.put(value), value });
        }
        for (const { address, value } of held) {
          expect(arena.get(address)).toEqual(value);
          expect(arena.equals(address, value)).toBe(true);
        }
        expect(new Set(held.map(({ address }) => address)).size).toBe(held.length);
      }),
      { numRuns: 60 },
    );
  });

  test("freed blocks are used again, so that renaming for ever takes no more memory", () => {
    const arena = new ByteArena();
    const name = new Uint8Array(20).fill(7);
    let address = arena.put(name);
    const before = arena.bytes;
    for (let i = 0; i < 100_000; i++) {
      arena.free(address);
      address = arena.put(name);
    }
    expect(arena.bytes).toBe(before);
  });

  test("every freed block of a size is used again, not only the last", () => {
    const arena = new ByteArena();
    const addresses = [1, 2, 3].map((fill) => arena.put(new Uint8Array(20).fill(fill)));
    for (const address of addresses) arena.free(address);
    expect(new Set([1, 2, 3].map(() => arena.put(new Uint8Array(19))))).toEqual(new Set(addresses));
  });

  test("a block of the largest size fits beside others across pages", () => {
    const arena = new ByteArena();
    const addresses = Array.from({ length: 700 }, (_, i) => arena.put(new Uint8Array(arenaBytesMax).fill(i % 251)));
    for (const [i, address] of addresses.entries()) {
      expect(arena.length(address)).toBe(arenaBytesMax);
      expect(arena.get(address).at(-1)).toBe(i % 251);
    }
  });

  test("a string that is too long is a bug", () => {
    expect(() => new ByteArena().put(new Uint8Array(arenaBytesMax + 1))).toThrow("too long");
  });
});
