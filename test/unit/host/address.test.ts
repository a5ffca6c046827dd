import { describe, expect, test } from "bun:test";
import { cannotListen, formatHostPort, parseHostPort } from "../../../src/host/address.ts";

describe("addresses", () => {
  test.each([
    ["127.0.0.1:80", "127.0.0.1", 80],
    ["localhost:0", "localhost", 0],
    ["[::1]:65535", "::1", 65_535],
    ["[fe80::1%eth0]:1", "fe80::1%eth0", 1],
  ])("parseHostPort(%s)", (text, host, port) => {
    expect(parseHostPort(text)).toEqual({ host, port });
    expect(formatHostPort(host, port)).toBe(text);
  });

  test.each([
    "",
    "localhost",
    ":80",
    "a:",
    "a:65536",
    "a:-1",
    "::1:80",
    "a b:1",
    "a:1x",
    "[::1]",
    "http://a:1",
    "a:1\n",
  ])("parseHostPort(%j) is refused", (text) => expect(() => parseHostPort(text)).toThrow("it is not host:port"));

  test("an IPv4 address in IPv6 clothes is written as IPv4", () => {
    expect(formatHostPort("::ffff:10.1.2.3", 5)).toBe("10.1.2.3:5");
  });

  test("cannotListen() says why", () => {
    for (const [code, reason, told] of [
      ["EADDRINUSE", "in use", "AddressInUse"],
      ["EADDRNOTAVAIL", "not an address of this machine", "Usage"],
      ["EACCES", "permission denied", "Usage"],
      ["EOTHER", "boom", "Usage"],
    ] as const) {
      const error = cannotListen("h:1", Object.assign(new Error("boom"), { code }));
      expect(error.code).toBe(told);
      expect(error.message).toStartWith("Cannot listen on h:1: ");
      expect(error.message).toContain(reason);
    }
  });
});
