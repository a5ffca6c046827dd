import type { ControlResponse } from "../../../src/io.ts";
import type { Service } from "./network.ts";
import type { Scheduler } from "./scheduler.ts";
import type { EndOfProcess } from "./sim-process.ts";

export type ControlService = Extract<Service, { kind: "control" }>;

/** A call as it goes over the network. */
export interface EncodedCall {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** The server's, as the caller wrote it. */
  readonly address: string;
  /** The caller's, "host:port". */
  readonly remote: string;
}

/** Runs the handler in its process, and tells once what came of it: the whole answer, or how the process ended before. */
export function serveCall(
  service: ControlService,
  call: EncodedCall,
  scheduler: Scheduler,
  tell: (outcome: ControlResponse | EndOfProcess) => void,
): void {
  const { process, handler } = service;
  const held = { onProcessEnd: tell };
  process.hold(held);
  process.enter(() => {
    const request = new Request(`http://${call.address}${call.path}`, {
      method: "POST",
      headers: call.headers,
      body: call.body,
    });
    const finish = (answer: ControlResponse): void => {
      if (!process.alive) return;
      process.release(held);
      scheduler.trace.mixBytes(answer.body);
      tell(answer);
    };
    scheduler.watch(answerOf(() => handler(request, () => call.remote), scheduler).then((answer) => finish(answer)));
  });
}

/** A handler that throws is answered for, as the HTTP server does it. */
async function answerOf(handle: () => Response | Promise<Response>, scheduler: Scheduler): Promise<ControlResponse> {
  try {
    const response = await handle();
    return { status: response.status, headers: response.headers, body: new Uint8Array(await response.arrayBuffer()) };
  } catch (error) {
    scheduler.count("control.handler-threw");
    return { status: 500, headers: new Headers(), body: new TextEncoder().encode(String(error)) };
  }
}
