import { NexcageError } from "../../shared/errors.ts";

/** A host as a person writes it: `[user@]address[:port]`, an IPv6 address with a port in brackets. */
export type Address = { user: string | undefined; address: string; port: number | undefined };

/**
 * Pure.
 * @throws {NexcageError} `USAGE`
 */
export function parseAddress(text: string): Address {
  const [, user, bracketed, plain, port] =
    /^(?:([^@\s]+)@)?(?:\[([0-9A-Fa-f:.]+)\]|([^\s@:[\]]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*))(?::(\d{1,5}))?$/.exec(
      text,
    ) ?? [];
  const address = bracketed ?? plain;
  if (address === undefined || Number(port ?? 1) < 1 || Number(port ?? 1) > 65_535)
    throw new NexcageError("USAGE", `${JSON.stringify(text)} is not the address of a host`, {
      hint: "as ssh takes it: pve1, root@10.20.0.11, deploy@pve1.example.com:2222, [fd00::11]:22",
    });
  return { user, address, port: port === undefined ? undefined : Number(port) };
}
