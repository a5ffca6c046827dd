import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { makeHostCrypto } from "../../src/host/crypto.ts";
import { equalMacs, helloProof, requestKey, requestMac } from "../../src/net/control-proof.ts";
import { parseSecret, proofOf } from "../../src/net/secret.ts";
import { encodeCbor } from "../../src/wire/cbor.ts";
import { clusterId, volumeId } from "../../src/wire/ids.ts";
import { expectGolden } from "./golden-file.ts";

const secret = parseSecret("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", "a test");
const nonce = (first: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, i) => first + i);

describe("proofs of the cluster secret stay as they are", () => {
  test("hello, key and request of the control plane; both sides of the data plane", () => {
    const crypto = makeHostCrypto();
    const facts = {
      callerNonce: nonce(1),
      serverNonce: nonce(101),
      callerRole: "client",
      serverRole: "master",
      connection: "00112233445566778899aabbccddeeff",
    } as const;
    const key = requestKey(crypto, secret, facts);
    const body = encodeCbor({ path: "/a" });
    const mac = requestMac(crypto, key, { path: "/v1/stat", counter: "1", body });
    const cluster = clusterId("00112233445566778899aabbccddeeff");
    const volume = volumeId("ffeeddccbbaa99887766554433221100");
    const handshake = [nonce(1), nonce(101), cluster, volume, "client"];
    const written = new Map([
      ["control hello proof", helloProof(crypto, secret, facts)],
      ["control request key", key],
      ["control request mac", utf8(mac)],
      ["data server proof", proofOf(crypto, secret, "gfs data server", handshake)],
      ["data caller proof", proofOf(crypto, secret, "gfs data caller", handshake)],
    ]);
    const kept = expectGolden("proofs.hex", written);
    expect(equalMacs(new TextDecoder().decode(kept.get("control request mac")), mac)).toBe(true);
    // What docs/PROTOCOL.md says it is, computed by hand.
    const text = utf8("POST\n/v1/stat\n1\n");
    const message = new Uint8Array([...text, ...body]);
    expect(crypto.hmac(kept.get("control request key")!, message).toHex()).toBe(mac);
  });
});
