import { expect, test } from "vitest";
import { ackOf, leaseOf, subjects } from "./subjects.ts";

test("what a subject was made of is read back from it", () => {
  expect(ackOf(subjects.ack("Order_1", "proxy-1"))).toEqual({
    operation: "Order_1",
    proxy: "proxy-1",
  });
  expect(leaseOf("renew", subjects.lease("renew", "users", "users-1"))).toEqual({
    service: "users",
    instance: "users-1",
  });
});

// Who may say `register.users.>` by a careless rule must not come through as somebody else by the subject's end.
test.each([
  "tocsin.v1.register.users.payments.payments-1",
  "tocsin.v1.register.users",
  "tocsin.v1.register",
  "tocsin.v1.renew.users.users-1",
  "tocsin.v1.registers.users.users-1",
  "x.tocsin.v1.register.users.users-1",
])("%s is no lease of anybody", (subject) => {
  expect(leaseOf("register", subject)).toBeUndefined();
});

test.each([
  "tocsin.v1.ack.Order_1.proxy-1.proxy-2",
  "tocsin.v1.ack.Order_1",
  "tocsin.v1.ack.Order 1.proxy-1",
  "tocsin.v1.ack.Order_1.Proxy",
  "tocsin.v1.ack..proxy-1",
  "tocsin.v2.ack.Order_1.proxy-1",
])("%s is no acknowledgement", (subject) => {
  expect(ackOf(subject)).toBeUndefined();
});
