// Bridges of the host, and what a container's interface needs there (the recorded facts, "Bridges and network").
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import type { Section } from "./conf.ts";
import { Failure } from "./failure.ts";
import * as formats from "./formats.ts";
import { type Properties, parseProperties, printProperties } from "./properties.ts";

export type Interface = { number: string; properties: Properties };

export function interfaces({ values }: Section): Interface[] {
  return [...values.keys()]
    .filter((key) => /^net\d+$/.test(key))
    .sort((a, b) => Number(a.slice(3)) - Number(b.slice(3)))
    .map((key) => ({ number: key.slice(3), properties: parseNet(key, values.get(key) ?? "") }));
}

export function parseNet(key: string, value: string): Properties {
  const parsed = parseProperties(formats.net, value, key);
  if ("reason" in parsed) throw new Failure(`${key}: invalid format - ${parsed.reason}`);
  return parsed.properties;
}

/** As it is written: with `type=veth`, and with a new MAC where none is given. */
export function completeNet(key: string, value: string): string {
  const properties = parseNet(key, value);
  return printProperties(formats.net, { hwaddr: newMac(), type: "veth", ...properties });
}

function newMac(): string {
  const last = [...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, "0"));
  return ["bc", "24", "11", ...last].join(":").toUpperCase();
}

/** @throws {Failure} `bridge 'nobr' does not exist`, `MTU size … is bigger than bridge MTU …` */
export function requireBridge({ number, properties }: Interface): void {
  const { bridge, mtu } = properties;
  if (bridge === undefined) return;
  const device = `/sys/class/net/${bridge}`;
  if (!existsSync(device)) throw new Failure(`bridge '${bridge}' does not exist`);
  const bridgeMtu = readFileSync(`${device}/mtu`, "utf8").trim();
  if (mtu !== undefined && Number(mtu) > Number(bridgeMtu))
    throw new Failure(`net${number}: MTU size '${mtu}' is bigger than bridge MTU '${bridgeMtu}'`);
}

/**
 * The lines of sh that plug the host's end of a veth into its bridge: directly, through a VLAN of the
 * bridge, or through the firewall's own bridge. LXC gives the interface as the fifth word.
 */
export function plugScript(vmid: string, { number, properties }: Interface): string {
  const { bridge = "", firewall, tag } = properties;
  const target = tag === undefined ? bridge : `${bridge}v${tag}`;
  const lines = ["#!/bin/sh", "set -e", "device=$5"];
  if (tag !== undefined)
    lines.push(
      `[ -e /sys/class/net/${target} ] || {`,
      `  ip link add ${target} type bridge`,
      `  ip link add link ${bridge} name ${bridge}.${tag} type vlan id ${tag}`,
      `  ip link set ${bridge}.${tag} master ${target} up`,
      `  ip link set ${target} up`,
      "}",
    );
  if (firewall !== "1") lines.push(`ip link set "$device" master ${target} up`);
  else {
    const [fwbr, fwln, fwpr] = firewallDevices(vmid, number);
    lines.push(
      `ip link add ${fwbr} type bridge`,
      `ip link add ${fwln} type veth peer name ${fwpr}`,
      `ip link set ${fwbr} up`,
      `ip link set ${fwln} master ${fwbr} up`,
      `ip link set ${fwpr} master ${target} up`,
      `ip link set "$device" master ${fwbr} up`,
    );
  }
  return `${lines.join("\n")}\n`;
}

export function firewallDevices(vmid: string, number: string): [fwbr: string, fwln: string, fwpr: string] {
  return [`fwbr${vmid}i${number}`, `fwln${vmid}i${number}`, `fwpr${vmid}p${number}`];
}
