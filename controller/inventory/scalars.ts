import { constants } from "node:os";
import * as z from "zod";
import { quoteForMessage } from "../../shared/ids.ts";
import { AbsolutePath } from "../../shared/spec.ts";
import { parseDuration, parseSize } from "../../shared/units.ts";
import { verbatim } from "./vocabulary.ts";

/*
 * The kinds of value that the words of the files take. A schema's error is its message, and after a line
 * break its hint. Numbers and booleans are taken as text too, since what is filled in is text.
 */

/** A wrong value as it stands in a message. */
export function shown(value: unknown): string {
  if (typeof value === "string") return quoteForMessage(value);
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a map" : String(value);
}

/** The error of a scalar: that a value is not `what`, and how one looks; and what it is, for the reference. */
export const wants = (what: string, hint: string) => ({
  error: ({ input }: { input?: unknown }) => `${shown(input)} is not ${what}\n${hint}`,
  means: `${what}${hint.startsWith("as in") ? "," : ":"} ${hint}`,
});

/** Any text; numbers, true and false count as what they look like. */
export const Text = z
  .union([z.string().regex(/^[^\0]*$/), z.number(), z.boolean()], {
    error: ({ input }) => {
      if (input === null) return 'there is no value\nfor an empty text write ""';
      return typeof input === "string" ? "text cannot hold NUL" : `${shown(input)} is not text`;
    },
  })
  .transform(String)
  .meta({ id: "text", description: "any text: numbers, true and false count as what they look like" })
  .register(verbatim, {});

const aDuration = wants("a duration", "as in 500ms, 10s, 1m30s, 2h");
/** → milliseconds */
export const Duration = z
  .string(aDuration)
  .regex(/^(\d+(ms|s|m|h|d))+$/, aDuration)
  .transform((text) => parseDuration(text) ?? 0)
  .meta({ id: "duration", description: aDuration.means });

const aSize = wants("a size", "as in 64m, 1.5g, 1048576");
/** → bytes */
export const Size = z
  .union(
    [
      z.int().positive(),
      z.string().regex(/^(?!0+(\.0+)?[A-Za-z]*$)\d+(\.\d+)?[bkmgtBKMGT]?([iI]?[bB])?$/, aSize),
    ],
    aSize,
  )
  .transform(bytesOf)
  .meta({ id: "size", description: aSize.means });

/** A size, or 0 for none. → bytes */
export const SizeOrNone = z
  .union([z.int().nonnegative(), z.string().regex(/^\d+(\.\d+)?[bkmgtBKMGT]?([iI]?[bB])?$/, aSize)], aSize)
  .transform(bytesOf)
  .meta({ id: "size_or_none", description: `${aSize.means}, or 0 for none` });

function bytesOf(size: number | string): number {
  return typeof size === "number" ? size : (parseSize(size) ?? 0);
}

const aNumber = wants("a number above 0", "as in 2 or 0.5");
export const PositiveNumber = z
  .union([z.number().positive(aNumber), z.string().regex(/^(?!0+(\.0+)?$)\d+(\.\d+)?$/, aNumber)], aNumber)
  .transform(Number)
  .meta({ id: "positive_number", description: aNumber.means });

const aCount = wants("a whole number from 1 on", "as in 1 or 64");
export const PositiveCount = z
  .union([z.int(aCount).positive(aCount), z.string().regex(/^0*[1-9]\d{0,8}$/, aCount)], aCount)
  .transform(Number)
  .meta({ id: "positive_count", description: aCount.means });

const aCountOrNone = wants("a whole number", "0 or more");
export const Count = z
  .union(
    [z.int(aCountOrNone).nonnegative(aCountOrNone), z.string().regex(/^\d{1,9}$/, aCountOrNone)],
    aCountOrNone,
  )
  .transform(Number)
  .meta({ id: "count", description: aCountOrNone.means });

/** A whole number with bounds, both included; `what` with its article: `a port`. */
export function between(least: number, most: number, what: string) {
  const wrong = wants(what, `${least} to ${most}`);
  return z
    .union([z.int(wrong).min(least, wrong).max(most, wrong), z.string().regex(/^\d{1,9}$/, wrong)], wrong)
    .transform(Number)
    .refine((number) => number >= least && number <= most, wrong);
}

export const Port = between(1, 65_535, "a port").meta({ id: "port", description: "a port: 1 to 65535" });

export const Flag = z
  .union([z.boolean(), z.enum(["true", "false"])], wants("true or false", "write true or false"))
  .transform((flag) => flag === true || flag === "true")
  .meta({ id: "flag", description: "true or false" });

/** One of several words; words of later versions are refused as such. */
export function oneOf<const Words extends readonly [string, ...string[]]>(
  known: Words,
  { later = [] }: { later?: readonly string[] } = {},
) {
  return z.enum(known, {
    error: ({ input }) => {
      if (typeof input === "string" && later.includes(input))
        return `${shown(input)} is not supported in this version\nhere: ${known.join(", ")}`;
      return `${shown(input)} is not one of ${known.join(", ")}`;
    },
  });
}

/** A list, where one alone may stand without being one. */
export const listOf = <Item extends z.ZodType>(item: Item, what: string) =>
  z
    .union([item, z.array(item)], wants(what, "or a list of such"))
    .transform((items) => (Array.isArray(items) ? items : [items]));

const aPath = wants("an absolute path", `beginning with "/", without "." and ".." in it`);
export const PathOnHost = z
  .string(aPath)
  .regex(/^\//, { ...aPath, abort: true })
  .refine((path) => AbsolutePath.safeParse(path).success, aPath)
  .meta({ id: "path_on_host", description: aPath.means });

const aLocalPath = wants("a path", "from the folder of this file, absolute, or below ~/");
/** A path on this machine: absolute, below `~/`, or from the folder of its file. */
export const LocalPath = z
  .string(aLocalPath)
  .regex(/^[^\0]+$/, aLocalPath)
  .meta({ id: "local_path", description: aLocalPath.means });

const anId = wants(
  "a container id",
  "letters, digits and _.+- only, beginning with a letter or digit, at most 128",
);
export const ContainerName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$/, anId)
  .meta({ id: "container_name", description: anId.means });

const aName = wants("a name", "letters, digits and _.- only, beginning with a letter or digit, at most 63");
/** Of a host, a group or a fleet. */
const aProgramPath = wants("the path of a program", "an absolute one, of letters, digits and ._+- only");
/** It stands in a rule for sudo and in a forced command, where other characters have meanings of their own. */
export const ProgramPath = z
  .string(aProgramPath)
  .regex(/^(\/[A-Za-z0-9._+-]+)+$/, aProgramPath)
  .meta({ id: "program_path", description: aProgramPath.means });

export const Name = z
  .string(aName)
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, aName)
  .meta({ id: "name", description: aName.means });

const aLabel = wants("the name of a label", "letters, digits and _./- only, at most 128");
export const LabelName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$/, aLabel)
  .meta({ id: "label_name", description: aLabel.means });

const aVariable = wants("the name of a variable", "letters, digits and _ only, beginning with a letter or _");
export const VariableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, aVariable)
  .meta({ id: "variable_name", description: aVariable.means });

const aSignal = wants("a signal", "as in SIGTERM, TERM or 15");
/** `TERM`, `SIGTERM`, 15 → `SIGTERM`; real-time signals as `SIGRTMIN+3`. */
export const Signal = z
  .union([z.int(), z.string().regex(/^(\d{1,2}|[A-Za-z0-9+]{2,20})$/, aSignal)], aSignal)
  .transform((signal, context) => {
    const name = signalName(String(signal).toUpperCase());
    if (name !== undefined) return name;
    context.addIssue({ code: "custom", message: aSignal.error({ input: signal }) });
    return z.NEVER;
  })
  .meta({ id: "signal", description: aSignal.means });

function signalName(text: string): string | undefined {
  if (/^\d+$/.test(text)) return signalNames.find((name) => Number(text) === signalNumbers.get(name));
  const name = text.startsWith("SIG") ? text : `SIG${text}`;
  return signalNumbers.has(name) || /^SIGRTMIN(\+([1-9]|[12]\d|30))?$/.test(name) ? name : undefined;
}

/** First the names by which signals are known: SIGABRT before SIGIOT, SIGIO before SIGPOLL. */
const signalNumbers = new Map<string, number>(Object.entries(constants.signals));
const signalNames = [...signalNumbers.keys()];
