import type { Crypto } from "../io.ts";

export function makeHostCrypto(): Crypto {
  return {
    hmac(key, message) {
      // One key byte of zero is the same key as none (HMAC pads with zeros), which the hasher refuses.
      return Uint8Array.from(
        new Bun.CryptoHasher("sha256", key.length === 0 ? new Uint8Array(1) : key).update(message).digest(),
      );
    },
    sha256() {
      const hasher = new Bun.CryptoHasher("sha256");
      return {
        update(bytes) {
          hasher.update(bytes);
        },
        digest: () => Uint8Array.from(hasher.digest()),
      };
    },
  };
}
