import type { Bed } from "../e2e/bed.ts";

/** Runs `nexcage` on the bed's workstation; what it says, where it fails, is the error. */
export async function must(bed: Bed, ...words: string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await bed.nexcage(...words);
  if (exitCode !== 0)
    throw new Error(`nexcage ${words.join(" ")} ended with ${exitCode}: ${stderr}${stdout}`);
}
