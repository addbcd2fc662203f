import type { Command } from "./command.ts";
import { inventoryCheck } from "./inventory-check.ts";
import { inventoryDiscover } from "./inventory-discover.ts";
import { inventoryExplain } from "./inventory-explain.ts";
import { inventoryShow } from "./inventory-show.ts";

export const inventoryCommands: Command[] = [
  inventoryCheck,
  inventoryShow,
  inventoryExplain,
  inventoryDiscover,
];
