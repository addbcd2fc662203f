// Verbs that read: no lock, no task.
import { findConf, listGuests, readConf } from "../cluster.ts";
import { type Conf, encode, type Section } from "../conf.ts";
import { words } from "../formats.ts";
import { isRunning, lxcState } from "../lxc.ts";
import { node } from "../paths.ts";
import { guestStatus } from "../status.ts";
import { boolean, guestGrammar, text, type Verb } from "../verb.ts";

export const status: Verb = {
  grammar: guestGrammar("status", { options: { verbose: boolean } }),
  async run({ vmid, options }) {
    readConf(vmid);
    if (options.get("verbose") !== "1")
      process.stdout.write(`status: ${isRunning(vmid) ? "running" : "stopped"}\n`);
    else {
      const fields = Object.entries(await guestStatus(vmid));
      process.stdout.write(fields.map(([key, value]) => `${key}: ${value}\n`).join(""));
    }
    return 0;
  },
};

export const list: Verb = {
  grammar: { positionals: {}, option: () => undefined, usage: "pct list" },
  async run() {
    const rows = [...listGuests()]
      .filter(([, guest]) => guest.type === "lxc" && guest.node === node)
      .flatMap(([vmid]) => {
        const conf = findConf(vmid);
        if (conf === undefined) return [];
        const state = isRunning(vmid) ? "running" : "stopped";
        return [row(vmid, state, conf.values.get("lock") ?? "", conf.values.get("hostname") ?? `CT${vmid}`)];
      });
    if (rows.length > 0) process.stdout.write([row("VMID", "Status", "Lock", "Name"), ...rows].join(""));
    return 0;
  },
};

function row(vmid: string, state: string, lock: string, name: string): string {
  return `${vmid.padEnd(10)} ${state.padEnd(10)} ${lock.padEnd(12)} ${name.padEnd(20)}\n`;
}

export const config: Verb = {
  grammar: guestGrammar("config", { options: { current: boolean, snapshot: text } }),
  async run({ vmid, options }) {
    const conf = readConf(vmid);
    const section = chooseSection(conf, options.get("snapshot"));
    const merged = options.get("current") === "1" || section !== conf ? section : withPending(conf);
    process.stdout.write(printConfig(merged));
    return 0;
  },
};

function chooseSection(conf: Conf, snapshot: string | undefined): Section {
  return snapshot === undefined ? conf : (conf.snapshots.get(snapshot) ?? conf);
}

/** Without `--current`, what is pending is shown as if it were set. */
export function withPending(conf: Conf): Section {
  const values = new Map(conf.values);
  for (const key of words(conf.pending.values.get("delete") ?? "")) values.delete(key);
  for (const [key, value] of conf.pending.values) if (key !== "delete") values.set(key, value);
  return { description: conf.pending.description ?? conf.description, values, lxc: conf.lxc };
}

function printConfig({ description, values, lxc }: Section): string {
  const all = new Map(values);
  if (description !== undefined) all.set("description", encode(description));
  const lines = [...all.keys()].sort().map((key) => `${key}: ${all.get(key)}\n`);
  return [...lines, ...lxc.map(([key, value]) => `${key}: ${value}\n`)].join("");
}

export const pending: Verb = {
  grammar: guestGrammar("pending"),
  async run({ vmid }) {
    const conf = readConf(vmid);
    const removed = words(conf.pending.values.get("delete") ?? "");
    const current = new Map(conf.values);
    if (conf.description !== undefined) current.set("description", encode(conf.description));
    const keys = new Set([...current.keys(), ...conf.pending.values.keys()]);
    keys.delete("delete");
    for (const key of [...keys].sort()) {
      const next = conf.pending.values.get(key);
      if (next !== undefined) process.stdout.write(`new ${key}: ${next}\n`);
      else if (removed.includes(key)) process.stdout.write(`del ${key}: ${current.get(key)}\n`);
      else process.stdout.write(`cur ${key}: ${current.get(key)}\n`);
    }
    return 0;
  },
};

export const df: Verb = {
  grammar: guestGrammar("df"),
  async run({ vmid }) {
    if ((await lxcState(vmid)) === undefined) process.stderr.write(`${vmid} doesn't exist\n`);
    const conf = readConf(vmid);
    const { printDisks } = await import("../disks.ts");
    process.stdout.write(await printDisks(vmid, conf));
    return 0;
  },
};
