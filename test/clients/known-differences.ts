/** A difference that is meant to be; one that does not show any more is a failure too. */
export type KnownDifference = {
  /** What stands in the other runtime's record where crun's has `crun`. */
  ours: string;
  crun: string;
  /** Why it is right that the two differ. */
  reason: string;
  /** The titles of the cases in which it shows. */
  cases: string[];
};

const newerWords = "libcrun 1.21 has other words for it than crun 1.8.1";
const byBoth = (title: string): string[] => [`${title}, by its log file`, `${title}, by stderr`];
const cannotRunInExec = "podman exec of a program that is not there is 127, of one that cannot be run 126";

const cannotRunInCtr = "a program that is not there, or cannot be run, is an error of the start";

export const knownDifferences: KnownDifference[] = [
  {
    ours: "executable file `/not/there` not found: No such",
    crun: "executable file `/not/there` not found in $PATH: No such",
    reason: newerWords,
    cases: [cannotRunInExec, cannotRunInCtr, ...byBoth("a program that is not there is 127")],
  },
  {
    ours: "the path `not-executable` exists but it is not executable: Operation not permitted",
    crun: "open executable: Permission denied",
    reason: newerWords,
    cases: [
      cannotRunInExec,
      cannotRunInCtr,
      "ctr task exec gives output and exit code",
      ...byBoth("a program that cannot be run is 126"),
    ],
  },
  {
    ours: "the path `/bin/not-executable` exists but it is not executable: Operation not permitted",
    crun: "open executable: Permission denied",
    reason: newerWords,
    cases: [cannotRunInExec, ...byBoth("a program that cannot be run is 126")],
  },
  {
    ours: "the path `/etc` is not a regular file: Operation not permitted",
    crun: "open executable: Operation not permitted",
    reason: newerWords,
    cases: [cannotRunInExec, cannotRunInCtr, ...byBoth("a program that cannot be run is 126")],
  },
  {
    ours: "chdir to `/not/there`",
    crun: "chdir `/not/there`",
    reason: newerWords,
    cases: [cannotRunInExec],
  },
  {
    ours: "cannot stat `DIR/shared/gone`",
    crun: "error stat'ing file `DIR/shared/gone`",
    reason: newerWords,
    cases: byBoth("a container whose mounts cannot be made is not made"),
  },
  {
    ours: "write to `/proc/sys/kernel/msgmax`",
    crun: "write to /proc/sys/kernel/msgmax",
    reason: newerWords,
    cases: byBoth("limits that the kernel refuses are an error"),
  },
  {
    ours: "write file `cpuset.cpus`",
    crun: "writing file `cpuset.cpus`",
    reason: newerWords,
    cases: ["podman update changes a running container"],
  },
  {
    ours: "exit 0\nout: 1000\nout: written",
    crun: "exit 1\nout: 0\nout: sh: can't create /dev/pts/0: Permission denied",
    reason: "the terminal of an exec is the user's, as that of a run is; crun 1.8.1 leaves it to root",
    cases: ["podman exec -it is a terminal too, with the program's exit code"],
  },
  {
    ours: "exit status 2: nexcage-agent: checkpoint is not built in [USAGE]",
    crun: "exit status 1: unknown command checkpoint",
    reason: "crun 1.8.1 of Debian has not heard of it; we have, and say what is missing",
    cases: ["a checkpoint is refused, and the task goes on"],
  },
];
