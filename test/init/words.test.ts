import test from "ava";
import { parseAddress } from "../../controller/init/address.ts";
import { parseMembers } from "../../controller/init/cluster.ts";
import { nameHosts } from "../../controller/init/files.ts";
import { type Met, parseLook } from "../../controller/init/meet.ts";

for (const [text, user, address, port] of [
  ["pve1", undefined, "pve1", undefined],
  ["root@10.20.0.11", "root", "10.20.0.11", undefined],
  ["deploy@pve1.example.com:2222", "deploy", "pve1.example.com", 2222],
  ["fd00::11", undefined, "fd00::11", undefined],
  ["root@[fd00::11]:22", "root", "fd00::11", 22],
] as const)
  test(`${text} is the address of a host`, (t) => {
    t.deepEqual(parseAddress(text), { user, address, port });
  });

for (const text of ["", "a b", "@pve1", "pve1:", "pve1:99999", "pve1:0", "[fd00::11", "root@"])
  test(`${JSON.stringify(text)} is not the address of a host`, (t) => {
    t.throws(() => parseAddress(text), { code: "USAGE" });
  });

test("a host says its name without a domain, what it is, and what it has", (t) => {
  const text = `hostname pve1.example.com
user deploy
/sys/class/net/vmbr1/bridge
/sys/class/net/vmbr0/bridge
/usr/sbin/pct
/var/lib/vz/template/cache/debian-13-standard_13.1-2_amd64.tar.zst
`;
  t.deepEqual(parseLook(text, "10.0.0.1"), {
    hostname: "pve1",
    user: "deploy",
    proxmox: true,
    bridges: ["vmbr0", "vmbr1"],
    templates: ["debian-13-standard_13.1-2_amd64.tar.zst"],
  });
  t.like(parseLook("", "10.0.0.1"), { hostname: "10.0.0.1", proxmox: false });
});

test("hosts get names of their own, whatever they call themselves", (t) => {
  const met = (hostname: string): Met => ({
    at: { user: undefined, address: "10.0.0.1", port: undefined },
    user: "root",
    hostKey: undefined,
    look: { hostname, proxmox: false, bridges: [], templates: [] },
  });
  const named = nameHosts(["pve", "pve", "localhost", "My_Host"].map(met), new Set(["my-host"]));
  t.deepEqual(
    named.map(({ name }) => name),
    ["pve", "pve-2", "host", "my-host-2"],
  );
});

test("a cluster's nodes are read from what pmxcfs shows; alone there is one", (t) => {
  const at = { host: "pve1", address: "10.0.0.1" };
  t.deepEqual(parseMembers('{"nodename": "pve1","version": 0}', at), {
    name: undefined,
    nodes: [{ name: "pve1", address: "10.0.0.1", online: true }],
  });
  t.throws(() => parseMembers("<html>", at), { code: "PROTOCOL_ERROR" });
});
