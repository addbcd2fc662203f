import { join } from "node:path";

/** Where `npm run build` leaves the programs; the scripts that need them build first. */
export const dist = join(import.meta.dirname, "../dist");
