/** Something that is opened with its first use, once; closed if it was opened. */
export type Lazy<T> = (() => Promise<T>) & AsyncDisposable;

export function lazy<T extends AsyncDisposable>(open: () => Promise<T>): Lazy<T> {
  let opened: Promise<T> | undefined;
  const get = (): Promise<T> => {
    opened ??= open();
    return opened;
  };
  return Object.assign(get, {
    async [Symbol.asyncDispose]() {
      // Who asked for what could not be opened was told.
      await (await opened?.catch(() => undefined))?.[Symbol.asyncDispose]();
    },
  });
}
