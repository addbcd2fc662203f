#!/usr/bin/env node
"use strict";
// The npm package runs on its user's own Node.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major > 24 || (major === 24 && minor >= 15)) require("./nexcage.cjs");
else {
  process.stderr.write(
    `nexcage: needs Node 24.15 or newer, and this is ${process.versions.node}\nhint: the archives of nexcage have a Node in them\n`,
  );
  process.exitCode = 1;
}
