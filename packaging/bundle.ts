import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname } from "node:path";
import { constants, Script } from "node:vm";

/** A program in one file that is a function of what CommonJS gives to a module; compiled and not yet run. */
export type Bundle = {
  /** Runs it; `require` is for what is not in it. */
  run(require: NodeJS.Require): void;
  /** Its code as compiled so far, with the functions that have run; for `loadBundle` of this Node. */
  code(): Buffer;
};

/** @param code see {@link compileBundle} */
export function loadBundle(file: string, code?: Buffer): Bundle {
  return compileBundle(readFileSync(file), { file, code });
}

/** @param options.code from `Bundle.code` of this bundle; V8 refuses that of another version, and compiles again */
export function compileBundle(
  source: Buffer,
  { file, code }: { file: string; code: Buffer | undefined },
): Bundle {
  // esbuild writes ASCII, so that this reading needs no decoding.
  const script = new Script(source.toString("latin1"), {
    filename: file,
    ...(code && { cachedData: code }),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  return {
    run(require) {
      const module = { exports: {} };
      script.runInThisContext()(lazily(require), module, module.exports, file, dirname(file));
    },
    code: () => script.createCachedData(),
  };
}

/** Modules of Node's that it does not load for itself, and that take long for a program that may not use them. */
const heavy = new Set([
  "child_process",
  "crypto",
  "http",
  "https",
  "net",
  "readline",
  "tls",
  "v8",
  "worker_threads",
  "zlib",
]);

/** Gives in place of a heavy module what loads it once something of it is asked for. */
function lazily(require: NodeJS.Require): (id: string) => unknown {
  return (id) => {
    if (!isBuiltin(id) || !heavy.has(id.replace(/^node:/, ""))) return require(id);
    const load = (): object => require(id);
    return new Proxy(
      {},
      {
        get: (_, name) => Reflect.get(load(), name),
        has: (_, name) => Reflect.has(load(), name),
        ownKeys: () => Reflect.ownKeys(load()),
        getOwnPropertyDescriptor(_, name) {
          const descriptor = Reflect.getOwnPropertyDescriptor(load(), name);
          return descriptor && { ...descriptor, configurable: true }; // a proxy may not say otherwise
        },
      },
    );
  };
}
