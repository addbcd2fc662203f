import type { Command } from "./command.ts";
import { fleetAdopt } from "./fleet-adopt.ts";
import { fleetAgents } from "./fleet-agents.ts";
import { fleetApply } from "./fleet-apply.ts";
import { fleetBootstrap } from "./fleet-bootstrap.ts";
import { fleetExec } from "./fleet-exec.ts";
import { fleetKill } from "./fleet-kill.ts";
import {
  fleetDelete,
  fleetPause,
  fleetRestart,
  fleetResume,
  fleetStart,
  fleetStop,
} from "./fleet-lifecycle.ts";
import { fleetLogs } from "./fleet-logs.ts";
import { fleetPlan } from "./fleet-plan.ts";
import { fleetState } from "./fleet-state.ts";
import { fleetStatus } from "./fleet-status.ts";
import { fleetUnbootstrap } from "./fleet-unbootstrap.ts";

/** The commands below `nexcage fleet`, in the order of its help. */
export const fleetCommands: Command[] = [
  fleetPlan,
  fleetApply,
  fleetStatus,
  fleetState,
  fleetLogs,
  fleetExec,
  fleetStart,
  fleetStop,
  fleetRestart,
  fleetPause,
  fleetResume,
  fleetKill,
  fleetDelete,
  fleetAdopt,
  fleetBootstrap,
  fleetAgents,
  fleetUnbootstrap,
];
