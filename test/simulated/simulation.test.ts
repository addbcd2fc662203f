import test from "ava";
import { simulate } from "./simulation.ts";

/** `NEXCAGE_SEED=17 npx ava test/simulated/simulation.test.ts` replays one. */
const replay = process.env.NEXCAGE_SEED;
const seeds =
  replay === undefined ? Array.from({ length: 2_000 }, (_, index) => index + 1) : [Number(replay)];
const atOnce = 8;

test("2,000 random fleets with faults: each ends as wanted, acts once, and leaves alone what is not its own", async (t) => {
  t.timeout(300_000);
  const failed: string[] = [];
  const todo = seeds[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const seed of todo) {
        const { broken, story } = await simulate(seed);
        if (broken.length > 0)
          failed.push([`seed ${seed} (NEXCAGE_SEED=${seed} replays it):`, ...broken, ...story].join("\n  "));
      }
    }),
  );
  t.deepEqual(failed, []);
});
