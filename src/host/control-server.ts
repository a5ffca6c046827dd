import { type ControlHandler, type Listener } from "../io.ts";
import { cannotListen, formatHostPort, parseHostPort } from "./address.ts";

/**
 * Seconds without a byte in either direction until a connection is closed (until its first request Bun waits for 12 at most, unless it begins as HTTP/2). Bun bounds the count of
 * connections neither by itself nor by telling of them: so that those who say nothing hold as little as can be, this is short, yet longer than the heartbeats of clients are apart.
 */
const silentSeconds = 45;
/** The same while a request is in work, the longest that Bun offers: a copy of a large chunk takes long. */
const workingSeconds = 255;
/** How long requests in flight have to end when the listener is disposed. */
const drainMs = 2_000;

/** HTTP/2 cleartext with prior knowledge and HTTP/1.1 on one port. */
export async function serveControl(address: string, handler: ControlHandler): Promise<Listener> {
  const { host, port } = parseHostPort(address);
  const server = (() => {
    try {
      return Bun.serve({
        hostname: host,
        port,
        http2: true,
        idleTimeout: silentSeconds,
        development: false,
        // Without this a server that is not in development shares its port with any other, silently.
        reusePort: false,
        fetch(request, server) {
          // Not of probes: over HTTP/1.1 it would hold for the connection, also when it is idle again.
          if (request.method === "POST") server.timeout(request, workingSeconds);
          return handler(request, () => {
            const peer = server.requestIP(request);
            return peer === null ? "unknown" : formatHostPort(peer.address, peer.port);
          });
        },
        // Handlers answer their own errors; what still gets here is a bug, and none of its text leaves the process.
        error: () => new Response("internal error", { status: 500 }),
      });
    } catch (error) {
      throw cannotListen(address, error);
    }
  })();
  return {
    address: formatHostPort(host, server.port ?? port),
    async [Symbol.asyncDispose]() {
      const timer = setTimeout(() => void server.stop(true), drainMs);
      timer.unref();
      await server.stop(false);
      clearTimeout(timer);
    },
  };
}
