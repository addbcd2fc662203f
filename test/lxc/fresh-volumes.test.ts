import test from "ava";
import { parseVolumes, storagesOfFresh } from "../../agent/backends/lxc/fresh-volumes.ts";

test("only a mount point of STORAGE:GIB has a volume made, whatever a description looks like", (t) => {
  const options = new Map([
    ["description", "Ticket:42, see the wiki"],
    ["mp0", "/srv/data:1,mp=/data"],
    ["mp1", "local:100/vm-100-disk-1.raw,mp=/db,size=8G"],
    ["mp2", "tank:0.0625,mp=/log"],
    ["mp12", "local-zfs:8,mp=/big,backup=1"],
  ]);
  t.deepEqual([...storagesOfFresh(options)], ["tank", "local-zfs"]);
});

test("a listing of pvesm names a volume a line, below its head", (t) => {
  const listing = `Volid                       Format  Type            Size VMID
local:100/vm-100-disk-0.raw raw     rootdir    134217728 100
local:100/vm-100-disk-1.raw raw     rootdir     67108864 100
`;
  t.deepEqual(parseVolumes(listing), ["local:100/vm-100-disk-0.raw", "local:100/vm-100-disk-1.raw"]);
  t.deepEqual(parseVolumes("Volid Format  Type            Size VMID\n"), []);
});
