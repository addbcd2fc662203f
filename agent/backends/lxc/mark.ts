import * as z from "zod";
import { ContainerId, Digest } from "../../../shared/ids.ts";

/** What makes a guest ours. It stands in the guest's description, and so goes with it when Proxmox migrates it. */
export const Mark = z.object({
  id: ContainerId,
  fleet: z.string().optional(),
  /** The node on which it was made: where it is another one now, it was migrated. */
  node: z.string().optional(),
  digest: Digest,
  /** Put aside by a replacement: it comes back when that fails, or goes. */
  aside: z.literal(true).optional(),
});
export type Mark = z.infer<typeof Mark>;

const word = "nexcage: ";

/** A description's line that says whose the guest is. Pure. */
export function formatMark(mark: Mark): string {
  return `${word}${JSON.stringify(Mark.parse(mark))}`;
}

/** The mark in a description, which a person may have written more into; undefined where there is none. Pure. */
export function parseMark(description: string): Mark | undefined {
  const line = description.split("\n").find((text) => text.startsWith(word));
  if (line === undefined) return undefined;
  try {
    return Mark.safeParse(JSON.parse(line.slice(word.length))).data;
  } catch {
    return undefined;
  }
}

/** The description with this mark in place of the one that is there; what people wrote stays. Pure. */
export function withMark(description: string, mark: Mark): string {
  const others = description.split("\n").filter((line) => line !== "" && !line.startsWith(word));
  return [...others, formatMark(mark)].join("\n");
}
