import * as z from "zod";
import { NexcageError } from "./errors.ts";

/** A container's name on its host. Never begins with a dot, so that dot-files beside containers are ours. */
export const ContainerId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$/)
  .brand<"ContainerId">();
export type ContainerId = z.infer<typeof ContainerId>;

/** The id of one change, made by who asks for it: sent again, it does not act again. */
export const OperationId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{7,63}$/)
  .brand<"OperationId">();
export type OperationId = z.infer<typeof OperationId>;

/** `sha256:` and 64 hex digits. */
export const Digest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/)
  .brand<"Digest">();
export type Digest = z.infer<typeof Digest>;

/** @throws {NexcageError} `INVALID_ID` */
export function parseContainerId(text: string): ContainerId {
  const parsed = ContainerId.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new NexcageError("INVALID_ID", `${quoteForMessage(text)} is not a container id`, {
    hint: "letters, digits and _.+- only, beginning with a letter or digit, at most 128",
  });
}

/** A user's word as it may stand in a one-line message: quoted, control characters escaped, cut at 80. */
export function quoteForMessage(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
