// pvesh, pvesm, pveam and ha-manager against the recorded answers, and what a node does when it boots.
import { waitFor } from "../hosts/wait.ts";
import { haveNode, host, hosts, must, nodeTest } from "./node-test.ts";
import { busyboxTemplate, turnKnobs } from "./nodes.ts";

haveNode(async () => {
  await must(
    "pct",
    "create",
    "100",
    busyboxTemplate,
    "--rootfs",
    "local:0.1",
    "--onboot",
    "1",
    "--cpulimit",
    "2",
  );
}, ["plain"]);

async function get(path: string, ...options: string[]): Promise<unknown> {
  return JSON.parse(await must("pvesh", "get", path, "--output-format", "json", ...options));
}

const failures: [argv: string[], exit: number, stderr: string][] = [
  [
    ["pvesh", "get", "/cluster/nextid", "--vmid", "100"],
    2,
    "400 Parameter verification failed.\nvmid: VM 100 already exists",
  ],
  [["pvesh", "get", "/nosuch"], 1, "No 'get' handler defined for '/nosuch'"],
  [
    ["pvesh", "get", "/nodes/pve1/lxc/999/config"],
    2,
    "Configuration file 'nodes/pve1/lxc/999.conf' does not exist",
  ],
  [["pvesm", "status", "--storage", "nosuch"], 255, "storage: No such storage."],
  [
    ["pvesm", "path", "bad"],
    2,
    "400 Parameter verification failed.\nvolume: invalid format - unable to parse volume ID 'bad'",
  ],
  [["pveam", "remove", "local:vztmpl/no"], 2, "volume 'local:vztmpl/no' does not exist"],
  [
    ["pveam", "available"],
    0,
    "unable to open file '/var/lib/pve-manager/apl-info/download.proxmox.com' - No such file or directory",
  ],
  [["pveam", "update"], 0, "update failed - see /var/log/pveam.log for details"],
];

for (const [argv, exit, stderr] of failures)
  nodeTest(`recorded: ${argv.join(" ")}`, async (t) => {
    const result = await host.exec(argv);
    t.is(result.stderr, stderr);
    t.is(result.exitCode, exit);
  });

nodeTest("nextid is a string, reserves nothing, and stays in the range of datacenter.cfg", async (t) => {
  t.is(await must("pvesh", "get", "/cluster/nextid"), "101");
  t.is(await get("/cluster/nextid"), "101");
  t.is(await get("/cluster/nextid", "--vmid", "777"), "777");
  await must("sh", "-c", "echo 'next-id: lower=500,upper=600' >>/etc/pve/datacenter.cfg");
  t.is(await get("/cluster/nextid"), "500");
});

nodeTest("pvesh tells of the node, its guests, bridges and storages", async (t) => {
  t.like(await get("/version"), { release: "9.2", version: "9.2.11" });
  t.regex(await must("pveversion"), /^pve-manager\/9\.2\.11\//);
  t.like(await get("/nodes/pve1/lxc/100/config"), {
    memory: 512,
    cpulimit: "2",
    hostname: "CT100",
    onboot: 1,
  });
  t.like(await get("/nodes/pve1/lxc/100/status/current"), {
    status: "stopped",
    vmid: 100,
    ha: { managed: 0 },
  });
  t.like(await get("/cluster/resources", "--type", "vm"), [{ id: "lxc/100", node: "pve1", vmid: 100 }]);
  t.like(await get("/nodes/pve1/network", "--type", "any_bridge"), [{ iface: "vmbr0" }, { iface: "vmbr50" }]);
  t.like(await get("/nodes/pve1/storage"), [{ storage: "local", active: 1 }, { storage: "local2" }]);
  t.like(await get("/cluster/status"), [{ name: "pve1", local: 1, online: 1 }]);
});

nodeTest("pvesm and pveam print their tables", async (t) => {
  const list = (await must("pvesm", "list", "local")).split("\n");
  t.is(list[0], "Volid                                Format  Type            Size VMID");
  t.regex(list[1] ?? "", /^local:100\/vm-100-disk-0\.raw {10}raw {5}rootdir {4}106954752 100$/);
  t.regex(list[2] ?? "", /^local:vztmpl\/busybox-1_amd64\.tar\.zst tzst {4}vztmpl {6,}\d+$/);
  t.regex(
    await must("pvesm", "status"),
    /^Name {10}Type {5}Status {5}Total \(KiB\) {6}Used \(KiB\) Available \(KiB\) {8}%\nlocal {10}dir {5}active {1,}\d/,
  );
  t.is(await must("pvesm", "path", "local:vztmpl/none"), "/var/lib/vz/template/cache/none");
  t.regex(
    await must("pveam", "list", "local"),
    /^NAME {57}SIZE {2}\nlocal:vztmpl\/busybox-1_amd64\.tar\.zst {25}\d\.\d\dMB$/m,
  );
  t.is(
    await must("pvesm", "alloc", "local", "900", "vm-900-disk-0.raw", "1M").then((text) =>
      text.split("\n").at(-1),
    ),
    "successfully created 'local:900/vm-900-disk-0.raw'",
  );
  await must("pvesm", "free", "local:900/vm-900-disk-0.raw");
});

nodeTest("a template is downloaded from the mirror of the test, and its checksum is checked", async (t) => {
  const index =
    "cd /var/lib/pve-manager/mirror && cp /var/lib/vz/template/cache/*.zst new_1_amd64.tar.zst && cp new_1_amd64.tar.zst bad_1_amd64.tar.zst && echo \"system new_1_amd64.tar.zst amd64 $(sha512sum <new_1_amd64.tar.zst | cut -d' ' -f1)\" >index && echo 'system bad_1_amd64.tar.zst amd64 00' >>index";
  await must("sh", "-c", index);
  t.is(await must("pveam", "update"), "update successful");
  t.regex(
    await must("pveam", "available", "--section", "system"),
    /^system {10}new_1_amd64\.tar\.zst {42}amd64$/m,
  );
  t.is(
    await must("pveam", "download", "local", "new_1_amd64.tar.zst"),
    "calculating checksum...OK, checksum verified",
  );
  const again = await must("pveam", "download", "local", "new_1_amd64.tar.zst");
  t.is(again, "calculating checksum of existing file...OK, got correct file already, no need to download");
  const wrong = await host.exec(["pveam", "download", "local", "bad_1_amd64.tar.zst"]);
  t.regex(wrong.stderr, /^checksum mismatch: got '[0-9a-f]{128}' != expect '00'$/);
  t.regex((await host.exec(["pveam", "download", "local", "no"])).stderr, /\ntemplate: no such template$/);
});

nodeTest("a guest that HA manages is started by asking: it returns before it runs", async (t) => {
  await must("ha-manager", "add", "ct:100", "--state", "stopped");
  t.is(await must("ha-manager", "config"), "ct:100\n\tstate stopped\n");
  t.is(await must("pct", "start", "100"), "Requesting HA start for CT 100");
  t.is(await must("pct", "status", "100"), "status: stopped");
  await waitFor(
    async () => (await must("ha-manager", "status")).includes("service ct:100 (pve1, started)") || undefined,
    { what: "HA's start", timeoutMs: 20_000 },
  );
  const { stderr } = await host.exec(["pct", "destroy", "100", "--force"]);
  t.is(stderr, "unable to remove CT 100 - used in HA resources and purge parameter not set.");
  await must("ha-manager", "remove", "ct:100");
});

nodeTest("a rebooted node has its guests still, and starts those with onboot", async (t) => {
  await host.reboot();
  t.is(await must("ls", "/etc/pve/lxc/"), "100.conf");
  await waitFor(async () => (await must("pct", "status", "100")) === "status: running" || undefined, {
    what: "the start on boot",
    timeoutMs: 20_000,
  });
  const plain = await hosts.host("plain").exec(["sh", "-c", "command -v pct; ls /etc/pve"]);
  t.is(plain.stdout, "", "a host that is no Proxmox node has nothing of it");
});

nodeTest("a knob makes calls slow, another a storage full, another a call hang", async (t) => {
  await turnKnobs(host, { delayMs: 800, fullStorages: ["local2"], hang: ["pct list"] });
  const before = performance.now();
  await must("pct", "status", "100");
  t.true(performance.now() - before > 800);
  const full = await host.exec(["pct", "create", "101", busyboxTemplate, "--rootfs", "local2:1"]);
  t.is(full.exitCode, 255);
  t.regex(full.stderr, /^unable to create CT 101 - .*No space left on device$/);
  t.is(await must("sh", "-c", "ls /etc/pve/lxc/"), "100.conf");
  t.is((await host.exec(["timeout", "2", "pct", "list"])).exitCode, 124);
  await turnKnobs(host, {});
});
