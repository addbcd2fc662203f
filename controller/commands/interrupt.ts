let controller: AbortController | undefined;

/**
 * The signal of Ctrl-C: aborted by the first SIGINT, SIGTERM or SIGHUP, so that what is in flight ends or
 * is journalled. The second one ends the program at once.
 */
export function interrupted(): AbortSignal {
  if (controller !== undefined) return controller.signal;
  const aborting = new AbortController();
  controller = aborting;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => {
      if (aborting.signal.aborted) process.exit(130);
      aborting.abort();
    });
  return aborting.signal;
}
