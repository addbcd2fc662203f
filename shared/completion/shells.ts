/** By itself: the command line names them, and loads no script for that. */
export const shells = ["bash", "zsh", "fish"] as const;

export type Shell = (typeof shells)[number];
