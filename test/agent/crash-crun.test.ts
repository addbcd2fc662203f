import test from "ava";
import { crashTests } from "./crash-tests.ts";

crashTests(test, "crun");
