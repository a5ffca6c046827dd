/** An HTTP/2 server that says exactly what a test wants, byte for byte. */
import type { Socket } from "bun";
import {
  encodeFrame,
  encodeSettings,
  frameFlag,
  FrameReader,
  frameType,
  type Http2Frame,
} from "../../../../src/host/http2/frames.ts";
import { encodeHeaderBlock, HeaderDecoder } from "../../../../src/host/http2/hpack.ts";

const prefaceBytes = 24;

export function headersFrame(stream: number, fields: Readonly<Record<string, string>>, flags = 0): Uint8Array {
  const payload = encodeHeaderBlock(Object.entries(fields));
  return encodeFrame({ type: frameType.headers, flags: flags | frameFlag.endHeaders, stream, payload });
}

export function dataFrame(stream: number, payload: Uint8Array, flags = 0): Uint8Array {
  return encodeFrame({ type: frameType.data, flags, stream, payload });
}

export const settingsAck = encodeFrame({
  type: frameType.settings,
  flags: frameFlag.ack,
  stream: 0,
  payload: new Uint8Array(0),
});

/** The frames that a client sent, after its preface. */
export class ClientBytes {
  readonly #reader = new FrameReader();
  #prefaceLeft = prefaceBytes;

  feed(bytes: Uint8Array): Http2Frame[] {
    const skipped = Math.min(this.#prefaceLeft, bytes.length);
    this.#prefaceLeft -= skipped;
    return this.#reader.feed(bytes.slice(skipped));
  }
}

export interface RawCall {
  readonly path: string;
  readonly stream: number;
  readonly socket: Socket<ClientBytes>;
}

/** Calls `answer` for every request as soon as its headers are there. */
export function startRawServer(answer: (call: RawCall) => void, onConnection: () => void = () => {}) {
  return Bun.listen<ClientBytes>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      binaryType: "uint8array",
      open(socket) {
        socket.data = new ClientBytes();
        onConnection();
        socket.write(encodeSettings([]));
      },
      data(socket, bytes) {
        for (const { type, flags, stream, payload } of socket.data.feed(bytes)) {
          if (type === frameType.settings && flags === 0) socket.write(settingsAck);
          if (type !== frameType.headers) continue;
          const path = new HeaderDecoder().decode(payload).find(({ name }) => name === ":path")?.value ?? "";
          answer({ path, stream, socket });
        }
      },
    },
  });
}
