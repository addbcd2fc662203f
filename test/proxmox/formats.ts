// The shapes of values: addresses, names, volumes, interfaces (the recorded facts, "create").
import { isIPv4, isIPv6 } from "node:net";
import type { Format } from "./properties.ts";
import type { Schema } from "./schema.ts";

const boolean: Schema = { type: "boolean" };
const anyString: Schema = { type: "string" };

type StringSchema = Extract<Schema, { type: "string" }>;

function looksLike(what: string, test: (value: string) => boolean): StringSchema {
  return {
    type: "string",
    format: (value) => (test(value) ? undefined : `value does not look like ${what}`),
  };
}

const label = "[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?";
const dnsName = new RegExp(`^(${label}\\.)*${label}$`);

function isNetwork(value: string, isAddress: (text: string) => boolean, maximum: number): boolean {
  const [, address = "", length = ""] = /^(.*)\/(\d{1,3})$/.exec(value) ?? [];
  return isAddress(address) && Number(length) <= maximum && length !== "";
}

export function words(text: string): string[] {
  return text.split(/[\s,;]+/).filter(Boolean);
}

export const hostname = looksLike("a valid DNS name", (value) => dnsName.test(value));
export const vmid: Schema = {
  type: "integer",
  format: (value) => (/^[1-9]\d{2,8}$/.test(value) ? undefined : "value does not look like a valid VM ID"),
};
export const snapshotName: Schema = {
  type: "string",
  format: (value) => (/^[a-z][a-z0-9_-]+$/i.test(value) ? undefined : `invalid configuration ID '${value}'`),
  maxLength: 40,
};
export const addressList = looksLike("a valid address list", (value) =>
  words(value).every((word) => isIPv4(word) || isIPv6(word) || word === "host"),
);
export const nameList = looksLike("a valid DNS name list", (value) =>
  words(value).every((word) => dnsName.test(word)),
);
export const tagList: Schema = {
  type: "string",
  format: (value) =>
    words(value).every((tag) => /^[a-z0-9_][a-z0-9_\-+.]*$/i.test(tag))
      ? undefined
      : "invalid characters in tag",
};

const mac = looksLike("a valid unicast MAC address", (value) =>
  /^[a-f0-9][02468ace](:[a-f0-9]{2}){5}$/i.test(value),
);
const ipv4 = looksLike("a valid ipv4 address", isIPv4);
const ipv6 = looksLike("a valid ipv6 address", isIPv6);
const ipv4Config = looksLike(
  "a valid ipv4 network configuration",
  (value) => /^(dhcp|manual)$/.test(value) || isNetwork(value, isIPv4, 32),
);
const ipv6Config = looksLike(
  "a valid ipv6 network configuration",
  (value) => /^(auto|dhcp|manual)$/.test(value) || isNetwork(value, isIPv6, 128),
);

/** `netN`. */
export const net: Format = {
  required: ["name"],
  keys: {
    name: { type: "string", pattern: /^[^:\s/]{2,15}$/ },
    bridge: { type: "string", pattern: /^[-_.\w\d]+$/ },
    hwaddr: mac,
    ip: ipv4Config,
    gw: ipv4,
    ip6: ipv6Config,
    gw6: ipv6,
    mtu: { type: "integer", minimum: 64, maximum: 65_535 },
    tag: { type: "integer", minimum: 1, maximum: 4094 },
    trunks: { type: "string", pattern: /^\d+(;\d+)*$/ },
    rate: { type: "number", minimum: 0 },
    firewall: boolean,
    link_down: boolean,
    "host-managed": boolean,
    type: { type: "string", enum: ["veth"] },
  },
};

const volumeKeys: Format["keys"] = {
  volume: anyString,
  size: { type: "string", pattern: /^\d+(\.\d+)?[KMGT]?$/ },
  acl: boolean,
  ro: boolean,
  quota: boolean,
  replicate: boolean,
  shared: boolean,
  mountoptions: {
    type: "string",
    pattern:
      /^(discard|lazytime|noatime|nodev|noexec|nosuid)(;(discard|lazytime|noatime|nodev|noexec|nosuid))*$/,
  },
  idmap: anyString,
};

export const rootfs: Format = { defaultKey: "volume", required: ["volume"], keys: volumeKeys };

/** `mpN`. */
export const mountPoint: Format = {
  defaultKey: "volume",
  required: ["volume", "mp"],
  keys: {
    ...volumeKeys,
    mp: looksLike("a valid mount point", (value) => value.startsWith("/") && !/\/\.\.?(\/|$)/.test(value)),
    backup: boolean,
    keepattrs: boolean,
  },
};

export const unused: Format = { defaultKey: "volume", required: ["volume"], keys: { volume: anyString } };

/** `devN`. */
export const device: Format = {
  defaultKey: "path",
  required: ["path"],
  keys: {
    path: { type: "string", pattern: /^\/dev\/.+/ },
    mode: { type: "string", pattern: /^0[0-7]{3}$/ },
    uid: { type: "integer", minimum: 0 },
    gid: { type: "integer", minimum: 0 },
    "deny-write": boolean,
  },
};

export const features: Format = {
  required: [],
  keys: {
    nesting: boolean,
    keyctl: boolean,
    fuse: boolean,
    mknod: boolean,
    force_rw_sys: boolean,
    mount: { type: "string", pattern: /^[a-z0-9_]+(;[a-z0-9_]+)*$/ },
  },
};

export const startup: Schema = {
  type: "string",
  format: (value) =>
    /^((order=)?\d+|up=\d+|down=\d+)(,((order=)?\d+|up=\d+|down=\d+))*$/.test(value)
      ? undefined
      : "unable to parse startup options",
};
