import { NexcageError } from "../../shared/errors.ts";
import type { Backend } from "./backend.ts";

/**
 * The backend of this name, as a spec or a record has it.
 * @throws {NexcageError} `BACKEND_UNAVAILABLE`
 */
export function requireBackend(backends: Backend[], name: string): Backend {
  const backend = backends.find((one) => one.name === name);
  if (backend !== undefined) return backend;
  throw new NexcageError("BACKEND_UNAVAILABLE", `this agent has no backend ${JSON.stringify(name)}`, {
    hint: `it has: ${backends.map((one) => one.name).join(", ")}`,
  });
}
