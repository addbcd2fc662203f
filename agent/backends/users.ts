import { NexcageError } from "../../shared/errors.ts";
import { readInRoot } from "../images/in-root.ts";

export type ContainerUser = { uid: number; gid: number; additionalGids: number[]; home: string };

export type Accounts = { passwd: string; group: string };

type Account = { name: string; uid: number; gid: number; home: string };
type Group = { name: string; gid: number; members: string[] };

/** Of `/etc/passwd` and `/etc/group`: a distribution's have some KiB. */
const maxBytes = 1024 * 1024;
const maxId = 2 ** 32 - 2; // -1 is "unchanged" to the kernel

/**
 * A spec's or an exec's `user` by the image's own `/etc/passwd` and `/etc/group`; undefined is root.
 * A number needs no entry there, a name does. Further groups are those of the account, unless a group is
 * given, as in podman.
 * @throws {NexcageError} `SPEC_REFUSED`
 */
export async function resolveUser(user: string | undefined, rootfsPath: string): Promise<ContainerUser> {
  return userOf(user ?? "0", await readAccounts(rootfsPath));
}

/** The text of `/etc/passwd` and `/etc/group` below a root; "" where there is none. */
export async function readAccounts(rootfsPath: string): Promise<Accounts> {
  const [passwd = "", group = ""] = await Promise.all(
    ["/etc/passwd", "/etc/group"].map((path) => readInRoot(rootfsPath, path, { maxBytes })),
  );
  return { passwd, group };
}

/** The same by the text of the two files. Pure. */
export function userOf(user: string, files: Accounts): ContainerUser {
  const [wantedUser = "", wantedGroup] = user.split(":");
  const number = idOf(wantedUser);
  const account = accounts(files.passwd).find(({ name, uid }) =>
    number === undefined ? name === wantedUser : uid === number,
  );
  if (account === undefined && number === undefined) throw unknown(wantedUser, "user", "/etc/passwd");
  const uid = account?.uid ?? number ?? 0;
  const home = account?.home || "/";
  const known = groups(files.group);
  if (wantedGroup === undefined) {
    const gid = account?.gid ?? 0;
    const additional = known.filter(({ members }) => account !== undefined && members.includes(account.name));
    return {
      uid,
      gid,
      additionalGids: additional.map((group) => group.gid).filter((id) => id !== gid),
      home,
    };
  }
  const gid = idOf(wantedGroup) ?? known.find(({ name }) => name === wantedGroup)?.gid;
  if (gid === undefined) throw unknown(wantedGroup, "group", "/etc/group");
  return { uid, gid, additionalGids: [], home };
}

/** passwd(5). What is no account, such as NIS's `+`, is passed over. */
function accounts(text: string): Account[] {
  return records(text).flatMap(([name = "", , uid = "", gid = "", , home = ""]) => {
    const account = { name, uid: idOf(uid), gid: idOf(gid), home: home.startsWith("/") ? home : "" };
    return account.uid === undefined || account.gid === undefined
      ? []
      : [{ ...account, uid: account.uid, gid: account.gid }];
  });
}

/** group(5). */
function groups(text: string): Group[] {
  return records(text).flatMap(([name = "", , id = "", members = ""]) => {
    const gid = idOf(id);
    return gid === undefined ? [] : [{ name, gid, members: members.split(",") }];
  });
}

function records(text: string): string[][] {
  return text.split("\n").map((line) => line.split(":"));
}

function idOf(text: string): number | undefined {
  return /^\d+$/.test(text) && Number(text) <= maxId ? Number(text) : undefined;
}

function unknown(name: string, kind: "user" | "group", file: string): NexcageError {
  return new NexcageError(
    "SPEC_REFUSED",
    `user: the image's ${file} has no ${kind} ${JSON.stringify(name)}`,
    {
      hint: `write its number, or add it to the image`,
    },
  );
}
