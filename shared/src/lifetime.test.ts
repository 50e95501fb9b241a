import { expect, test } from "vitest";
import { z } from "zod";
import { messageOf } from "./lifetime.ts";

test("what a schema complains about is one line, place by place", () => {
  const schema = z.strictObject({ kind: z.literal("token"), items: z.array(z.int()) });
  const { error } = schema.safeParse({ kind: "token", items: [1, "two"], colour: "red" });
  expect(messageOf(error)).toBe(
    'items.1: Invalid input: expected number, received string; Unrecognized key: "colour"',
  );
});

test("anything else that is thrown is its own text", () => {
  expect(messageOf(new Error("broken"))).toBe("broken");
  expect(messageOf(Object.assign(new Error("broken"), { issues: [] }))).toBe("broken");
  expect(messageOf("text")).toBe("text");
});
