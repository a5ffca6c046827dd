import { type ControlChannel, ControlError, type ControlRequest, type ControlResponse } from "../io.ts";
import { parseHostPort } from "./address.ts";
import { ControlExchange } from "./control-exchange.ts";
import { ControlSession } from "./control-session.ts";

/** A channel over one HTTP/2 session at a time. */
export class ControlClient implements ControlChannel {
  readonly address: string;
  #session: ControlSession | undefined;
  #closed = false;

  constructor(address: string) {
    parseHostPort(address); // refuses what is not an address here, and not at the first call
    this.address = address;
  }

  async post(request: ControlRequest): Promise<ControlResponse> {
    if (this.#closed) throw new ControlError("closed", true, `Cannot call ${this.address}: the channel was closed`);
    if (request.signal?.aborted === true) {
      throw new ControlError("aborted", true, `Cannot call ${this.address}: aborted before it was sent`);
    }
    if (this.#session === undefined || !this.#session.usable) this.#session = new ControlSession(this.address);
    return new ControlExchange(this.#session, request).response;
  }

  close(): void {
    this.#closed = true;
    this.#session?.close();
    this.#session = undefined;
  }
}
