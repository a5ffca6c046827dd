import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AssertionError } from "../../../../src/base/assert.ts";
import { Http2Error } from "../../../../src/host/http2/frames.ts";
import {
  encodeHeaderBlock,
  headerBlockBytesMax,
  HeaderDecoder,
  type HeaderField,
} from "../../../../src/host/http2/hpack.ts";
import { decodeHuffman } from "../../../../src/host/http2/huffman.ts";

const bytes = (hex: string): Uint8Array => Uint8Array.fromHex(hex.replaceAll(" ", ""));
const decodeHeaderBlock = (block: Uint8Array): HeaderField[] => new HeaderDecoder().decode(block);
const lines = (fields: readonly HeaderField[]): string[] => fields.map(({ name, value }) => `${name}: ${value}`);
const huffman = (hex: string): string | undefined => decodeHuffman(bytes(hex), 0, bytes(hex).length);

const fieldName = fc.stringMatching(/^[a-z][a-z0-9-]{0,60}$/);
const fieldValue = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)),
  maxLength: 300,
});

describe("header blocks", () => {
  test.each<[string, string, string[]]>([
    [
      "C.2.1 a literal with a new name",
      "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
      ["custom-key: custom-header"],
    ],
    ["C.2.2 a literal with a known name", "040c 2f73 616d 706c 652f 7061 7468", [":path: /sample/path"]],
    ["C.2.3 a literal that is never kept", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password: secret"]],
    ["C.2.4 an indexed field", "82", [":method: GET"]],
    [
      "C.4.1 a request with Huffman codes",
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    ],
    [
      "C.6.1 a response with Huffman codes",
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
      [
        ":status: 302",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
      ],
    ],
    [
      "one of Bun's server, after the agreed size of the table",
      "20 88 5f8b1d75d0620d263d4c1233d9 6196e4593e94136a693f75040138a05fb8d06e36d298b46f 5c8177",
      [":status: 200", "content-type: application/cbor", "date: Wed, 25 Nov 2026 19:45:44 GMT", "content-length: 7"],
    ],
  ])("of RFC 7541 %s", (_, hex, fields) => {
    const decoded = lines(decodeHeaderBlock(bytes(hex)));
    const undated = (line: string): boolean => !line.startsWith("date: Wed");
    expect(decoded.filter(undated)).toEqual(fields.filter(undated));
  });

  test("of a request have these bytes", () => {
    const start = encodeHeaderBlock([[":method", "POST"]]);
    const block = encodeHeaderBlock(
      [
        [":path", "/v1/stat"],
        ["gfs-counter", "7"],
        ["content-length", "10"],
      ],
      start,
    );
    expect(block.toHex()).toBe("0204504f535404082f76312f73746174000b6766732d636f756e74657201370f0d023130");
  });

  test("come out as they went in", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fieldName, fieldValue), { maxLength: 20 }), (fields) => {
        expect(lines(decodeHeaderBlock(encodeHeaderBlock(fields)))).toEqual(fields.map(([n, v]) => `${n}: ${v}`));
      }),
    );
  });

  test("take no value that could become another header, no broken name, and no more than a frame holds", () => {
    for (const value of ["a\r\nb: c", "\0", "ä"])
      expect(() => encodeHeaderBlock([["a", value]])).toThrow(AssertionError);
    for (const name of ["", "A", "a b", "a:"]) expect(() => encodeHeaderBlock([[name, "a"]])).toThrow(AssertionError);
    expect(() => encodeHeaderBlock([["a", "b".repeat(headerBlockBytesMax)]])).toThrow(AssertionError);
  });

  test.each([
    ["index 0", "80"],
    ["an index that no table has", "be"],
    ["a name that no table has", "7f 00 01 61"],
    ["a larger table than agreed", "3f e2 1f"],
    ["the table's size after a field", "88 20"],
    ["a number without end", "ff ff ff ff ff ff ff"],
    ["a number that is cut", "ff"],
    ["a text that is cut", "00 05 61"],
    ["a name that is cut", "00"],
    ["a text padded with zeros", "08 81 00"],
    ["a text padded with a whole byte", "08 82 1f ff"],
    ["the end's own code within a text", "08 84 ff ff ff ff"],
  ])("with %s are refused", (_, hex) => {
    expect(() => decodeHeaderBlock(bytes(hex))).toThrow(Http2Error);
  });

  test("refer to the fields of those before (RFC 7541 C.4)", () => {
    const decoder = new HeaderDecoder();
    const blocks = [
      "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
      "8286 84be 5886 a8eb 1064 9cbf",
      "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ].map((hex) => lines(decoder.decode(bytes(hex))));
    expect(blocks[1]?.slice(2)).toEqual([":path: /", ":authority: www.example.com", "cache-control: no-cache"]);
    expect(blocks[2]?.slice(2)).toEqual([
      ":path: /index.html",
      ":authority: www.example.com",
      "custom-key: custom-value",
    ]);
  });

  test("lose the oldest fields where the table is full (RFC 7541 C.6)", () => {
    const decoder = new HeaderDecoder(256);
    const responses = [
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
      "4883 640e ffc1 c0bf",
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ].map((hex) => lines(decoder.decode(bytes(hex))));
    expect(responses[1]).toEqual([
      ":status: 307",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:21 GMT",
      "location: https://www.example.com",
    ]);
    expect(responses[2]).toEqual([
      ":status: 200",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:22 GMT",
      "location: https://www.example.com",
      "content-encoding: gzip",
      "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ]);
    // The table holds the last three now: 62, 63, 64.
    expect(lines(decoder.decode(bytes("c0")))).toEqual(["date: Mon, 21 Oct 2013 20:13:22 GMT"]);
    expect(() => decoder.decode(bytes("c1"))).toThrow(Http2Error);
  });

  test("forget all fields when the table shrinks to nothing", () => {
    const decoder = new HeaderDecoder();
    decoder.decode(bytes("400a 6375 7374 6f6d 2d6b 6579 0161"));
    expect(lines(decoder.decode(bytes("be")))).toEqual(["custom-key: a"]);
    decoder.decode(bytes("20"));
    expect(() => decoder.decode(bytes("be"))).toThrow(Http2Error);
  });

  test("of any bytes are fields or refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (block) => {
        try {
          decodeHeaderBlock(block);
        } catch (error) {
          expect(error).toBeInstanceOf(Http2Error);
        }
      }),
    );
  });

  test("have Huffman codes for every byte", () => {
    expect(huffman("f1e3c2e5f23a6ba0ab90f4ff")).toBe("www.example.com");
    expect(huffman("a8eb10649cbf")).toBe("no-cache");
    expect(huffman("25a849e95bb8e8b4bf")).toBe("custom-value");
    // RFC 7541, appendix B: 0, 10 (30 bits), 128 (20 bits), 255 (26 bits), each with its padding of ones.
    expect(huffman("ffc7")).toBe("\0");
    expect(huffman("fffffff3")).toBe("\n");
    expect(huffman("fffe6f")).toBe("\x80");
    expect(huffman("fffffbbf")).toBe("\xff");
    expect(huffman("")).toBe("");
  });
});
