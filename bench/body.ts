/** What every program answers: 786 bytes of JSON, about the size of one record of a usual API. */
const items = Array.from({ length: 8 }, (_, index) => ({
  id: `item-${index + 1}`,
  name: `Item number ${index + 1}`,
  price: 1999 + index * 100,
  currency: "EUR",
}));
const size = 786;
const bare = JSON.stringify({ items, note: "" });

export const body = JSON.stringify({ items, note: "x".repeat(size - bare.length) });
if (Buffer.byteLength(body) !== size)
  throw new Error(`the body has ${Buffer.byteLength(body)} bytes`);
