import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { inWorld, type MakeWorld } from "./world-under-test.ts";

export function describeRandom(name: string, make: MakeWorld): void {
  describe(`random and crypto of ${name}`, () => {
    test(
      "bytes() gives as many as asked for, different ones each time",
      inWorld(make, async ({ world: { random } }) => {
        for (const count of [0, 1, 16, 100_000]) expect(random.bytes(count).length).toBe(count);
        expect(random.bytes(16)).not.toEqual(random.bytes(16));
      }),
    );

    test(
      "fraction() stays in [0, 1) and reaches all of it",
      inWorld(make, async ({ world: { random } }) => {
        const tenths = new Set<number>();
        for (let i = 0; i < 1000; i++) {
          const fraction = random.fraction();
          expect(fraction >= 0 && fraction < 1).toBe(true);
          tenths.add(Math.floor(fraction * 10));
        }
        expect(tenths.size).toBe(10);
      }),
    );

    test(
      "hmac() gives the vectors of RFC 4231, and takes an empty key",
      inWorld(make, async ({ world: { crypto } }) => {
        expect(crypto.hmac(utf8("Jefe"), utf8("what do ya want for nothing?")).toHex()).toBe(
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        );
        expect(
          crypto
            .hmac(new Uint8Array(131).fill(0xaa), utf8("Test Using Larger Than Block-Size Key - Hash Key First"))
            .toHex(),
        ).toBe("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
        expect(crypto.hmac(new Uint8Array(0), new Uint8Array(0)).toHex()).toBe(
          "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad",
        );
      }),
    );

    test(
      "sha256() of pieces is that of the whole",
      inWorld(make, async ({ world: { crypto } }) => {
        const hash = crypto.sha256();
        hash.update(utf8("a"));
        hash.update(utf8("bc"));
        expect(hash.digest().toHex()).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
      }),
    );
  });
}
