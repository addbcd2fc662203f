import { writeSync } from "node:fs";

/** Ends the run with the line that CI reads: `N passed, N failed, N skipped`. */
async function observeRun({ events }) {
  let stats;
  for await (const event of events) if (event.type === "stats") stats = event.stats;
  const failed =
    stats.failedTests +
    stats.failedHooks +
    stats.failedWorkers +
    stats.internalErrors +
    stats.timedOutTests +
    stats.uncaughtExceptions +
    stats.unhandledRejections +
    stats.unexpectedProcessExits;
  process.once("exit", () =>
    writeSync(1, `${stats.passedTests} passed, ${failed} failed, ${stats.skippedTests} skipped\n`),
  );
}

export default {
  files: ["test/**/*.test.ts"],
  extensions: ["ts"],
  workerThreads: false,
  concurrency: 3, // on two cores: the hosts of a test often wait for each other
  timeout: "3m",
  nonSemVerExperiments: { observeRunsFromConfig: true },
  observeRun,
};
