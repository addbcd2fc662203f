import { NexcageError } from "../../../shared/errors.ts";
import type { Capability } from "./capabilities.ts";

/*
 * The default seccomp profile. What programs ordinarily need is allowed; what is privileged follows the
 * container's capabilities and is EPERM without them; what is not known here is ENOSYS, so that a libc
 * falls back to an older call. As in docker, and stricter than podman, new namespaces, mounts and the
 * kernel's keyrings need CAP_SYS_ADMIN: they are what most escapes begin with.
 */

type Argument = { index: number; value: number; valueTwo?: number; op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ" };
type Rule = { names: string[]; action: string; errnoRet?: number; args?: Argument[] };

export type Seccomp = {
  defaultAction: string;
  defaultErrnoRet: number;
  architectures: string[];
  syscalls: Rule[];
};

const EPERM = 1;
const ENOSYS = 38;

const words = (text: string) => text.trim().split(/\s+/);

/** Allowed to every container. */
const ordinary = words(`
  open openat openat2 creat close close_range read readv pread64 preadv preadv2 write writev pwrite64 pwritev
  pwritev2 lseek _llseek sendfile sendfile64 splice tee copy_file_range readahead cachestat fadvise64 fadvise64_64
  arm_fadvise64_64 fallocate truncate truncate64 ftruncate ftruncate64 sync syncfs fsync fdatasync sync_file_range
  sync_file_range2 arm_sync_file_range dup dup2 dup3 fcntl fcntl64 flock ioctl
  stat stat64 fstat fstat64 lstat lstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64
  access faccessat faccessat2 chdir fchdir getcwd mkdir mkdirat rmdir readdir getdents getdents64 link linkat
  unlink unlinkat symlink symlinkat readlink readlinkat rename renameat renameat2 mknod mknodat umask
  chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32
  utime utimes futimesat utimensat utimensat_time64 name_to_handle_at
  getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr
  removexattr lremovexattr fremovexattr inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark

  pipe pipe2 select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create epoll_create1
  epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4
  io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64

  brk mmap mmap2 munmap mremap mprotect madvise msync mincore mlock mlock2 mlockall munlock munlockall
  remap_file_pages map_shadow_stack memfd_create memfd_secret membarrier pkey_alloc pkey_free pkey_mprotect process_mrelease

  fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid getpgrp setpgid
  getsid setsid prctl arch_prctl modify_ldt set_thread_area get_thread_area set_tid_address set_robust_list
  get_robust_list rseq restart_syscall futex futex_time64 futex_wait futex_wake futex_requeue futex_waitv set_tls breakpoint cacheflush
  landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp
  getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32
  getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid
  setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups setgroups32 capget capset
  getrlimit ugetrlimit setrlimit prlimit64 getrusage getpriority setpriority ioprio_get ioprio_set nice
  sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam
  sched_getscheduler sched_setscheduler sched_get_priority_min sched_get_priority_max sched_rr_get_interval
  sched_rr_get_interval_time64 getcpu uname sysinfo syslog

  kill tkill tgkill pause sigaltstack sigreturn sigpending sigprocmask sigsuspend sigaction rt_sigaction
  rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
  rt_tgsigqueueinfo pidfd_open pidfd_send_signal

  time times gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep
  clock_nanosleep_time64 nanosleep alarm getitimer setitimer adjtimex clock_adjtime clock_adjtime64
  timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
  timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64

  socket socketpair socketcall bind listen accept accept4 connect shutdown getsockname getpeername getsockopt
  setsockopt send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64
  ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
  mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
  getrandom
`);

/** Allowed to who has the capability, EPERM to the others. */
const privileged: Partial<Record<Capability, string[]>> = {
  CAP_DAC_READ_SEARCH: words("open_by_handle_at"),
  CAP_SYS_ADMIN: words(`
    unshare setns mount umount umount2 pivot_root mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick
    sethostname setdomainname bpf perf_event_open fanotify_init quotactl quotactl_fd lookup_dcookie
    add_key request_key keyctl pidfd_getfd`),
  CAP_SYS_BOOT: words("reboot kexec_load kexec_file_load"),
  CAP_SYS_CHROOT: words("chroot"),
  CAP_SYS_MODULE: words("init_module finit_module delete_module"),
  CAP_SYS_NICE: words("mbind get_mempolicy set_mempolicy set_mempolicy_home_node migrate_pages move_pages"),
  CAP_SYS_PACCT: words("acct"),
  CAP_SYS_PTRACE: words("ptrace kcmp process_madvise process_vm_readv process_vm_writev"),
  CAP_SYS_RAWIO: words("iopl ioperm"),
  CAP_SYS_TIME: words("settimeofday stime clock_settime clock_settime64"),
  CAP_SYS_TTY_CONFIG: words("vhangup"),
};

/** EPERM to all: a program must not take them for calls of a kernel that is too old. */
const never = words("swapon swapoff userfaultfd vmsplice uselib ustat sysfs nfsservctl");

/** Linux, 32-bit Linux, and both with an uname of 2.6, as personality(2) has them; the last one only asks. */
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** The CLONE_NEW flags of clone(2): mounts, cgroup, UTS, IPC, user, pid, network. */
const namespaceFlags = [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000];

const architectures: Record<string, string[]> = {
  x64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  arm64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
};

/**
 * The profile of a container with these capabilities. `architecture` is Node's name of the host's. Pure.
 * @throws {NexcageError} `BACKEND_UNAVAILABLE` on an architecture that it was not made for
 */
export function defaultSeccomp({
  capabilities,
  architecture,
}: {
  capabilities: readonly Capability[];
  architecture: string;
}): Seccomp {
  const known = architectures[architecture];
  if (known === undefined)
    throw new NexcageError(
      "BACKEND_UNAVAILABLE",
      `there is no seccomp profile for ${architecture} processors`,
    );
  const isAdmin = capabilities.includes("CAP_SYS_ADMIN");
  const byCapability = Object.entries(privileged) as [Capability, string[]][]; // its own keys
  const granted = byCapability.flatMap(([capability, names]) =>
    capabilities.includes(capability) ? names : [],
  );
  const withheld = byCapability.flatMap(([capability, names]) =>
    capabilities.includes(capability) ? [] : names,
  );
  const clone: Rule[] = isAdmin
    ? [allow(["clone", "clone3"])]
    : [
        allow(["clone"], [flagsAre(0, { among: namespaceFlags })]),
        ...namespaceFlags.map((flag) => refuse(["clone"], EPERM, [flagsAre(flag, { among: [flag] })])),
        // Its flags are behind a pointer, where no filter sees them; glibc then uses clone.
        refuse(["clone3"], ENOSYS),
      ];
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: ENOSYS,
    architectures: known,
    syscalls: [
      allow([...ordinary, ...granted]),
      ...clone,
      ...personalities.map((value) => allow(["personality"], [{ index: 0, value, op: "SCMP_CMP_EQ" }])),
      refuse([...withheld, ...never], EPERM),
    ],
  };
}

function allow(names: string[], args?: Argument[]): Rule {
  return { names, action: "SCMP_ACT_ALLOW", ...(args !== undefined && { args }) };
}

function refuse(names: string[], errnoRet: number, args?: Argument[]): Rule {
  return { names, action: "SCMP_ACT_ERRNO", errnoRet, ...(args !== undefined && { args }) };
}

/** The first argument has these of the flags, and none of the others `among` which they are. */
function flagsAre(flags: number, { among }: { among: number[] }): Argument {
  const mask = among.reduce((all, flag) => all + flag, 0);
  return { index: 0, value: mask, valueTwo: flags, op: "SCMP_CMP_MASKED_EQ" };
}
