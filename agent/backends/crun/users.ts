import { NexcageError } from "../../../shared/errors.ts";

export type ContainerUser = { uid: number; gid: number; additionalGids: number[]; home: string };

/**
 * A spec's or an exec's `user` by the image's own `/etc/passwd` and `/etc/group`; undefined is root.
 * A number needs no entry there; a name does.
 * @throws {NexcageError} `SPEC_REFUSED`
 */
export async function resolveUser(user: string | undefined, rootfsPath: string): Promise<ContainerUser> {
  throw new NexcageError("INTERNAL", `${user} ${rootfsPath}`);
}
