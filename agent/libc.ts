/* What Node has no call for. Needs only libc, not libncx. */

/** `flock(2)`: LOCK_SH, LOCK_EX and LOCK_UN, the first two with LOCK_NB. */
const operations = { shared: 1 | 4, exclusive: 2 | 4, unlock: 8 } as const;

/** ioctl_tty(2), on x86-64 and arm64. */
const requests = { TIOCSPTLCK: 0x40045431, TIOCGPTN: 0x80045430, TIOCSWINSZ: 0x5414 } as const;

type Libc = {
  flock(fd: number, operation: number): number;
  ioctl(fd: number, request: number, argument: Buffer): number;
  tcgetattr(fd: number, settings: Buffer): number;
  cfmakeraw(settings: Buffer): void;
  tcsetattr(fd: number, when: number, settings: Buffer): number;
  fallocate(fd: number, mode: number, offset: number, length: number): number;
  lseek(fd: number, offset: number, whence: number): number;
  pipe2(ends: Int32Array, flags: number): number;
  socketpair(domain: number, type: number, protocol: number, ends: Int32Array): number;
};

let bound: Libc | undefined;

async function libc(): Promise<Libc> {
  if (bound !== undefined) return bound;
  const koffi = await import("koffi");
  const library = koffi.load("libc.so.6");
  bound = {
    flock: library.func("int flock(int fd, int operation)"),
    ioctl: library.func("int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)"),
    tcgetattr: library.func("int tcgetattr(int fd, _Out_ uint8_t *settings)"),
    cfmakeraw: library.func("void cfmakeraw(_Inout_ uint8_t *settings)"),
    tcsetattr: library.func("int tcsetattr(int fd, int when, uint8_t *settings)"),
    fallocate: library.func("int fallocate(int fd, int mode, int64_t offset, int64_t length)"),
    lseek: library.func("int64_t lseek(int fd, int64_t offset, int whence)"),
    pipe2: library.func("int pipe2(_Out_ int *ends, int flags)"),
    socketpair: library.func("int socketpair(int domain, int type, int protocol, _Out_ int *ends)"),
  };
  return bound;
}

/**
 * Takes or gives back an advisory lock on an open file. It never waits; the lock ends with the descriptor, and so
 * with this process.
 * @returns false where another open file holds it
 */
export async function flock(fd: number, operation: keyof typeof operations): Promise<boolean> {
  return (await libc()).flock(fd, operations[operation]) === 0;
}

/** Makes the other end of an open /dev/ptmx usable; gives the number of its file below /dev/pts. */
export async function unlockTerminal(controller: number): Promise<number> {
  const { ioctl } = await libc();
  const number = Buffer.alloc(4);
  ioctl(controller, requests.TIOCSPTLCK, Buffer.alloc(4));
  ioctl(controller, requests.TIOCGPTN, number);
  return number.readUInt32LE();
}

/** Where `c_oflag` and `c_lflag` are in Linux' struct termios, and the bits that matter here. */
const flags = { c_oflag: 4, c_lflag: 12, OPOST: 0o1, ONLCR: 0o4, ICANON: 0o2 } as const;

/**
 * Makes a terminal pass on what is typed as it is: no echo, no keys that mean signals. A line feed that comes out of
 * it has a carriage return before it, as lxc-attach would ask for anyway; and `ICANON` stays until lxc-attach turns
 * it off, which `isProgramReady` tells.
 */
export async function makeTransparent(device: number): Promise<void> {
  const { tcgetattr, cfmakeraw, tcsetattr } = await libc();
  const settings = Buffer.alloc(256); // more than any struct termios
  tcgetattr(device, settings);
  cfmakeraw(settings);
  settings.writeUInt32LE(settings.readUInt32LE(flags.c_oflag) | flags.OPOST | flags.ONLCR, flags.c_oflag);
  settings.writeUInt32LE(settings.readUInt32LE(flags.c_lflag) | flags.ICANON, flags.c_lflag);
  tcsetattr(device, 0, settings);
}

/** Whether the program at a terminal has set it up, after which it loses nothing that is typed. */
export async function isProgramReady(controller: number): Promise<boolean> {
  const { tcgetattr } = await libc();
  const settings = Buffer.alloc(256);
  return tcgetattr(controller, settings) !== 0 || (settings.readUInt32LE(flags.c_lflag) & flags.ICANON) === 0;
}

export async function resizeTerminal(
  controller: number,
  { rows, columns }: { rows: number; columns: number },
): Promise<void> {
  const { ioctl } = await libc();
  ioctl(controller, requests.TIOCSWINSZ, Buffer.from(new Uint16Array([rows, columns, 0, 0]).buffer));
}

/** `fallocate(2)`: FALLOC_FL_KEEP_SIZE and FALLOC_FL_PUNCH_HOLE; `lseek(2)`: SEEK_DATA. */
const holes = { keepSizeAndPunch: 1 | 2, seekData: 3 } as const;

/**
 * Gives the disk back what lies before the byte `end` of an open file; what lies behind stays where it is.
 * @returns false where the file system has no holes, or the file is not open for writing
 */
export async function freeHead(fd: number, end: number): Promise<boolean> {
  return (await libc()).fallocate(fd, holes.keepSizeAndPunch, 0, end) === 0;
}

/** Where an open file begins, behind what `freeHead` has taken. */
export async function headOf(fd: number): Promise<number> {
  return Math.max(0, Number((await libc()).lseek(fd, 0, holes.seekData)));
}

const O_CLOEXEC = 0o2000000;
const unixStream = { domain: 1, type: 1 | O_CLOEXEC } as const; // AF_UNIX, SOCK_STREAM

/** A pipe, which unlike Node's own is one: a program may open /dev/stdout again. No child inherits it by itself. */
export async function openPipe(): Promise<{ read: number; write: number }> {
  const ends = new Int32Array(2);
  if ((await libc()).pipe2(ends, O_CLOEXEC) !== 0) throw new Error("pipe2 failed: too many open files?");
  const [read = -1, write = -1] = ends;
  return { read, write };
}

/** Two stream sockets that are each other's ends. No child inherits them by itself. */
export async function openSocketPair(): Promise<[number, number]> {
  const ends = new Int32Array(2);
  const { domain, type } = unixStream;
  if ((await libc()).socketpair(domain, type, 0, ends) !== 0)
    throw new Error("socketpair failed: too many open files?");
  const [ours = -1, theirs = -1] = ends;
  return [ours, theirs];
}
