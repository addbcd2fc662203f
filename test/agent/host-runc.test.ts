import test from "ava";
import { hostTests } from "./host-tests.ts";

hostTests(test, "runc");
