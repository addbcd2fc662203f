import { randomUUID } from "node:crypto";
import { OperationId } from "../shared/ids.ts";

/** A new id for one change: what makes sending it again safe. */
export function newOperationId(): OperationId {
  return OperationId.parse(randomUUID());
}
