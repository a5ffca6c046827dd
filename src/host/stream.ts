import type { SocketHandler } from "bun";
import { type Connection, type Stream, StreamError } from "../io.ts";
import { cannotListen, formatHostPort, parseHostPort, systemCode } from "./address.ts";
import { HostConnection } from "./connection.ts";

const keepAliveMs = 30_000;

export function makeHostStream(): Stream {
  return { listen, connect };
}

/** What every socket does; `opened` gives the connection of a socket that is new. */
function handlerFor(opened: (connection: HostConnection) => void): SocketHandler<HostConnection> {
  return {
    binaryType: "uint8array",
    open(socket) {
      socket.setKeepAlive(true, keepAliveMs);
      socket.data = new HostConnection(socket, formatHostPort(socket.remoteAddress, socket.remotePort));
      opened(socket.data);
    },
    data: (socket, bytes) => socket.data.onData(bytes),
    drain: (socket) => socket.data.onDrain(),
    end: (socket) => socket.data.onEnd(),
    close: (socket, error) => socket.data?.onClose(error),
    error: (socket, error) => socket.data?.onClose(error),
    // The rejection of Bun.connect says the same; without this the error would be reported as unhandled.
    connectError() {},
  };
}

async function listen(address: string, onConnection: (connection: Connection) => void) {
  const { host, port } = parseHostPort(address);
  const listener = (() => {
    try {
      return Bun.listen<HostConnection>({
        hostname: host,
        port,
        allowHalfOpen: true,
        socket: handlerFor(onConnection),
      });
    } catch (error) {
      throw cannotListen(address, error);
    }
  })();
  return {
    address: formatHostPort(host, listener.port),
    async [Symbol.asyncDispose]() {
      listener.stop(false);
    },
  };
}

function connect(address: string, options: { readonly timeoutMs: number }): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const { host, port } = parseHostPort(address);
    let expired = false;
    const timer = setTimeout(() => {
      expired = true;
      reject(
        new StreamError("timeout", `Cannot connect to ${address}: no answer in ${Math.round(options.timeoutMs)} ms`),
      );
    }, options.timeoutMs);
    const opened = (connection: HostConnection): void => {
      clearTimeout(timer);
      if (expired) connection.close();
      else resolve(connection);
    };
    Bun.connect<HostConnection>({ hostname: host, port, allowHalfOpen: true, socket: handlerFor(opened) }).catch(
      (error: unknown) => {
        clearTimeout(timer);
        reject(connectFailed(address, error));
      },
    );
  });
}

function connectFailed(address: string, error: unknown): StreamError {
  const code = systemCode(error);
  if (code === "ETIMEDOUT") return new StreamError("timeout", `Cannot connect to ${address}: timed out`);
  const reason =
    code === "ECONNREFUSED" ? "nobody listens there" : error instanceof Error ? error.message : String(error);
  return new StreamError("refused", `Cannot connect to ${address}: ${reason}`);
}
