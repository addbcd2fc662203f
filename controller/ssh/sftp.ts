import type { SFTPWrapper } from "ssh2";
import { NexcageError } from "../../shared/errors.ts";

/** SFTP's own numbers (draft-ietf-secsh-filexfer-02, section 7). */
const status = { noSuchFile: 2, permissionDenied: 3, failure: 4 } as const;

/**
 * How a file is sent: in pieces as large as OpenSSH's server takes them, since each is a request and an answer, and
 * more of them in flight than the 2 MiB of its window, which a long round trip needs.
 */
const pieces = { chunkSize: 255 * 1024, concurrency: 16 } as const;

/**
 * Sends a file.
 * @returns false where the login user may not write there
 * @throws {NexcageError} `DISK_FULL`, `UPLOAD_FAILED`
 */
export async function sendFile(
  sftp: SFTPWrapper,
  localPath: string,
  remotePath: string,
  { host, onProgress }: { host: string; onProgress: (sentBytes: number) => void },
): Promise<boolean> {
  const sent = Promise.withResolvers<boolean>();
  const step = (sentBytes: number): void => onProgress(sentBytes);
  sftp.on("error", sent.reject); // what is pending when the channel fails is answered by nobody else
  sftp.once("close", () => sent.reject(new Error("the SFTP channel was closed")));
  sftp.fastPut(localPath, remotePath, { ...pieces, step }, (error) => {
    if (error) sent.reject(error);
    else sent.resolve(true);
  });
  try {
    return await sent.promise;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === status.permissionDenied || code === status.noSuchFile) return false;
    if (code === status.failure && (await isFull(sftp, remotePath)))
      throw new NexcageError("DISK_FULL", `no space left for ${remotePath} on ${host}`, {
        hint: `make space there (df -h ${remotePath}), then run it again`,
        cause: error,
      });
    const reason = error instanceof Error ? error.message : String(error);
    throw new NexcageError("UPLOAD_FAILED", `cannot send ${localPath} to ${host}: ${reason}`, {
      cause: error,
    });
  }
}

/** SFTP has one number for all that fails on a disk, so the disk itself is asked. */
async function isFull(sftp: SFTPWrapper, path: string): Promise<boolean> {
  const answer = Promise.withResolvers<boolean>();
  try {
    sftp.ext_openssh_statvfs(path, (error, info: { f_bavail: number; f_frsize: number }) => {
      answer.resolve(!error && info.f_bavail * info.f_frsize < 1024 * 1024);
    });
  } catch {
    return false; // a server without this extension of OpenSSH's
  }
  return await answer.promise;
}
