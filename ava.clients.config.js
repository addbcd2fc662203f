import config from "./ava.config.js";

/** The clients of OCI runtimes: too long for every `npm test`, and each file has the machine to itself. */
export default {
  ...config,
  files: ["test/clients/**/*.clients.ts"],
  concurrency: 1,
  timeout: "10m",
};
