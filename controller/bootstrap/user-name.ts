import { NexcageError } from "../../shared/errors.ts";

/**
 * A name of a user, as `useradd` takes it: it becomes a word of a sudo rule and part of a file's name.
 * @throws {NexcageError} `USAGE`
 */
export function requireUserName<T extends string | undefined>(name: T): T {
  if (name === undefined || /^[a-z_][a-z0-9_.-]{0,31}$/.test(name)) return name;
  throw new NexcageError("USAGE", `${JSON.stringify(name)} is not the name of a user`, {
    hint: "as useradd takes it: small letters, digits, _ . and -",
  });
}
