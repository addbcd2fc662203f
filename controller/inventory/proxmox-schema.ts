import { isIPv4, isIPv6 } from "node:net";
import * as z from "zod";
import { Device as WantedDevice, Network as WantedNetwork } from "../../shared/spec.ts";
import { between, Count, Flag, listOf, oneOf, Size, Text, wants } from "./scalars.ts";
import { words } from "./vocabulary.ts";

/* What a fleet says of a container of Proxmox's, in the words of pct(1). */

const aTemplate = wants(
  "a template",
  "as in debian-13-standard, or local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst; on the host, pveam list local shows them",
);
export const Template = z
  .string(aTemplate)
  .regex(/^([A-Za-z][\w.-]*:vztmpl\/)?[\w.+-]+$/, aTemplate)
  .meta({ id: "template", description: aTemplate.means });

const anInterface = wants(
  "the name of an interface",
  "as in eth0: lower case letters and digits, at most 15",
);
const aBridge = wants("the name of a bridge", "as in vmbr0");

/** The bridge of an interface that names none, as NexCage 0.7 had it. */
export const defaultBridge = "vmbr50";

const aMac = wants("the MAC address of an interface", "as in BC:24:11:2A:00:01; its second digit is even");
/** → upper case, as Proxmox makes them */
const Mac = z
  .string(aMac)
  .regex(/^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$/, aMac)
  .transform((mac) => mac.toUpperCase())
  .meta({ id: "mac", description: aMac.means });

const ipv4 = String.raw`\d{1,3}(\.\d{1,3}){3}`;
const ipv6 = "[0-9A-Fa-f:.]{2,45}";

/** An address as each writes it the same: `FD00:0::1` → `fd00::1`; undefined where it is none. */
function canonicalIp(text: string): string | undefined {
  if (isIPv4(text)) return text;
  return isIPv6(text) ? new URL(`http://[${text}]/`).hostname.slice(1, -1) : undefined;
}

const aGateway = wants("an IPv4 address", "as in 10.20.8.1");
const Gateway = z
  .string(aGateway)
  .regex(new RegExp(`^${ipv4}$`), { ...aGateway, abort: true })
  .refine(isIPv4, aGateway)
  .meta({ id: "gateway", description: aGateway.means });

const aGateway6 = wants("an IPv6 address", "as in fd00::1");
const Gateway6 = z
  .string(aGateway6)
  .regex(new RegExp(`^${ipv6}$`), { ...aGateway6, abort: true })
  .refine(isIPv6, aGateway6)
  .transform((address) => canonicalIp(address) ?? address)
  .meta({ id: "gateway6", description: aGateway6.means });

const anIp = wants("an IPv4 address with its prefix", "as in 10.20.8.10/24, or dhcp");
const Ip = z
  .string(anIp)
  .regex(new RegExp(`^(dhcp|${ipv4}/\\d{1,2})$`), { ...anIp, abort: true })
  .refine((text) => WantedNetwork.shape.ip.safeParse(text).success, anIp)
  .meta({ id: "ip", description: anIp.means });

const anIp6 = wants("an IPv6 address with its prefix", "as in fd00::10/64, or dhcp, or auto");
const Ip6 = z
  .string(anIp6)
  .regex(new RegExp(`^(dhcp|auto|${ipv6}/\\d{1,3})$`), { ...anIp6, abort: true })
  .refine((text) => WantedNetwork.shape.ip6.safeParse(text).success, anIp6)
  .transform((text) => {
    const [address = "", prefix] = text.split("/");
    return prefix === undefined ? text : `${canonicalIp(address)}/${Number(prefix)}`;
  })
  .meta({ id: "ip6", description: anIp6.means });

export const Network = words("a network", {
  name: z
    .string()
    .regex(/^[a-z][a-z0-9]{0,14}$/, anInterface)
    .describe("The interface as the container sees it, as in eth0."),
  bridge: z
    .string(aBridge)
    .regex(/^[A-Za-z][\w.-]{0,14}$/, aBridge)
    .default(defaultBridge)
    .describe("The bridge of the host that it is plugged into."),
  vlan: between(1, 4094, "a VLAN").optional().describe("The VLAN that its packets carry."),
  mtu: between(64, 65_535, "an MTU").optional().describe("How long its packets may be (the bridge's)."),
  mac: Mac.optional().describe("Its MAC address; left out, Proxmox makes one, which it keeps."),
  ip: Ip.optional().describe("Its IPv4 address with the prefix, as in 10.20.8.10/24, or dhcp."),
  gateway: Gateway.optional().describe("The IPv4 router, for a fixed address."),
  ip6: Ip6.optional().describe("Its IPv6 address with the prefix, or dhcp, or auto."),
  gateway6: Gateway6.optional().describe("The IPv6 router, for a fixed address."),
  firewall: Flag.optional().describe("Whether Proxmox's firewall filters it."),
});

const aDevice = wants("a device of the host", "as in /dev/fuse");
const DevicePath = z
  .string(aDevice)
  .regex(/^\/dev\/[^\0,\s]+$/, { ...aDevice, abort: true })
  .refine((path) => WantedDevice.shape.path.safeParse(path).success, aDevice);
const aMode = wants("the mode of a device", 'as in "0660"');
export const Device = words("a device", {
  path: DevicePath.describe("The device on the host, and in the container."),
  mode: z
    .string(aMode)
    .regex(/^0[0-7]{3}$/, aMode)
    .optional()
    .describe('Its mode in the container, quoted, as in "0660".'),
  uid: Count.optional().describe("Whose it is in the container (0)."),
  gid: Count.optional().describe("The group that it has in the container (0)."),
  deny_write: Flag.optional().describe("The container cannot write to it."),
});
export const Devices = z
  .array(z.union([DevicePath, Device], aDevice))
  .max(256, { error: "Proxmox takes 256 devices at most" });

const anAddress = wants("an IP address", "as in 10.20.8.1 or fd00::1");
const Address = z
  .string(anAddress)
  .regex(new RegExp(`^(${ipv4}|${ipv6})$`), { ...anAddress, abort: true })
  .refine((text) => canonicalIp(text) !== undefined, anAddress)
  .transform((text) => canonicalIp(text) ?? text);
const aDomain = wants("a domain", "as in example.com");
const aZone = wants("a time zone", "as in Europe/Berlin, or host");
const aKey = wants("a public key of one line", "as in ssh-ed25519 AAAA… me@home");
const anIdmap = wants(
  "a mapping of ids",
  'as in "u 0 100000 65536": kind, first inside, first outside, how many',
);
const aPool = wants("the name of a pool", "as in shop");

const vmids = { least: 100, most: 999_999_999 };

const aRange = wants("a range of VMIDs", "as in 2100-2199, from 100 on");
const VmidRange = z
  .string(aRange)
  .regex(/^\d{3,9}-\d{3,9}$/, { ...aRange, abort: true })
  .transform((text): [number, number] => {
    const [first = "", last = ""] = text.split("-");
    return [Number(first), Number(last)];
  })
  .refine(([first, last]) => vmids.least <= first && first <= last, {
    error: ({ input }) => aRange.error({ input: Array.isArray(input) ? input.join("-") : input }),
  })
  .meta({ id: "vmid_range", description: aRange.means });

const aStorage = wants("the name of a storage", "as in local-zfs");
export const StorageName = z.string(aStorage).regex(/^[A-Za-z][\w.-]*$/, aStorage);
const aTag = wants("a tag", "letters, digits and _+.- only, beginning with a letter, a digit or _");

export const Proxmox = words(
  "proxmox",
  {
    vmid: between(vmids.least, vmids.most, "a VMID")
      .optional()
      .describe("Its VMID; left out, the lowest free one."),
    vmid_range: VmidRange.optional().describe("Where its VMID is taken from, as in 2100-2199."),
    storage: StorageName.optional().describe("The storage of its root file system."),
    rootfs_size: Size.optional().describe(
      "How large its root file system is, as in 8g; in whole MiB, and it can only grow (4g).",
    ),
    unprivileged: Flag.optional().describe("Whether its root is nobody on the host (true)."),
    features: words("features", {
      nesting: Flag.optional().describe("Containers can run inside it."),
      keyctl: Flag.optional().describe("It may call keyctl(2), which docker wants."),
      fuse: Flag.optional().describe("It may mount FUSE file systems."),
      mknod: Flag.optional().describe("It may make some device nodes."),
    })
      .optional()
      .describe("What it may do besides the usual."),
    onboot: Flag.optional().describe("Whether Proxmox starts it when the host boots."),
    startup: words("startup", {
      order: Count.optional().describe("Its turn among the guests of the host."),
      up: Count.optional().describe("Seconds to wait after its start before the next."),
      down: Count.optional().describe("Seconds that it has to shut down with the host."),
    })
      .optional()
      .describe("When Proxmox starts and stops it with the host."),
    tags: listOf(Text, "a tag")
      .pipe(z.array(z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_+.-]*$/, aTag)))
      .transform((tags) => [...new Set(tags.map((tag) => tag.toLowerCase()))].sort())
      .optional()
      .describe("Its tags in Proxmox; in lower case, sorted."),
    protection: Flag.optional().describe("Proxmox itself refuses to remove it or its disks."),
    ha: words("ha", {
      state: oneOf(["started", "ignored"])
        .default("started")
        .describe("started: HA keeps it running; ignored: HA knows it, and leaves it alone."),
      max_restart: Count.optional().describe("How often HA tries to start it again on one node (1)."),
      max_relocate: Count.optional().describe("How often HA tries another node (1)."),
    })
      .optional()
      .describe("Proxmox's HA manager looks after it."),
    cores: between(1, 8192, "a number of cores").optional().describe("How many cores it sees (all)."),
    cpuunits: between(2, 10_000, "a share of the CPUs")
      .optional()
      .describe("Its share of the CPUs beside other guests (100)."),
    pool: z
      .string(aPool)
      .regex(/^[A-Za-z0-9][\w.-]*$/, aPool)
      .optional()
      .describe("The pool of Proxmox's that it belongs to."),
    nameserver: listOf(Address, "an IP address").optional().describe("Its name servers (the host's)."),
    searchdomain: listOf(z.string().regex(/^[A-Za-z0-9.-]+$/, aDomain), "a domain")
      .optional()
      .describe("The domains in which it looks up names (the host's)."),
    timezone: z
      .string(aZone)
      .regex(/^[A-Za-z][\w+/-]*$/, aZone)
      .optional()
      .describe("Its time zone, as in Europe/Berlin; host: that of its host."),
    ssh_public_keys: listOf(z.string().regex(/^[^\0\r\n]+$/, aKey), "a public key")
      .optional()
      .describe("Who may log in as its root: lines of authorized_keys."),
    template_download: Flag.optional().describe(
      "A template that the host does not have is downloaded by pveam, to the first storage for templates.",
    ),
    idmap: listOf(z.string().regex(/^[ug] \d+ \d+ \d+$/, anIdmap), "a mapping of ids")
      .optional()
      .describe("How its user and group ids are mapped to the host's, instead of the usual way."),
  },
  { later: ["machine", "agent"] },
);
