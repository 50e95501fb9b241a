import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { eventually, startNats, startRedis, startRelay } from "./index.ts";

/** Unlike `once`, takes an error before the end for granted. */
const closed = (socket: Socket) => new Promise((resolve) => socket.once("close", resolve));

async function talk(port: number) {
  const socket: Socket = connect({ host: "127.0.0.1", port, noDelay: true });
  let text = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  socket.on("error", () => {});
  await once(socket, "connect");
  return {
    socket,
    text: () => text,
    say: (line: string) => void socket.write(`${line}\r\n`),
    hears: (part: string) => eventually(`hear ${part}, heard ${text}`, () => text.includes(part)),
    [Symbol.asyncDispose]: async () => void socket.destroy(),
  };
}

test("a NATS server restarts on its port, keeps its store, and leaves nothing behind", async () => {
  let directory: string;
  {
    await using nats = await startNats();
    directory = nats.storeDirectory;
    await nats.kill();
    await nats.restart();
    await using client = await talk(nats.port);
    client.say("CONNECT {}");
    client.say("PING");
    await client.hears("PONG");
    expect(client.text()).toContain(`"jetstream":true`);
    nats.freeze();
    client.say("PING");
    nats.thaw();
    await eventually("second PONG", () => client.text().split("PONG").length === 3);
  }
  expect(existsSync(directory)).toBe(false);
});

test("a Redis server answers, also after a restart", async () => {
  await using redis = await startRedis();
  await redis.restart();
  await using client = await talk(redis.port);
  client.say("PING");
  await client.hears("+PONG");
});

test("a relay drops exactly the one NATS message that was asked for", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port, { nats: true });
  await using client = await talk(relay.port);
  client.say("CONNECT {}");
  client.say("SUB a.* 1");
  client.say("PING");
  await client.hears("PONG");
  const dropped = relay.dropNext(({ subject }) => subject === "a.two");
  for (const subject of ["one", "two", "three", "two"]) client.say(`PUB a.${subject} 2\r\nhi`);
  expect(await dropped).toEqual({ subject: "a.two", text: "hi" });
  await eventually("three messages", () => client.text().match(/MSG/g)?.length === 3);
  expect(client.text().match(/a\.\w+/g)).toEqual(["a.one", "a.three", "a.two"]);
});

test("a relay repeats one NATS message and turns two of them round", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port, { nats: true });
  await using client = await talk(relay.port);
  client.say("CONNECT {}");
  client.say("SUB a.* 1");
  client.say("PING");
  await client.hears("PONG");
  const repeated = relay.repeatNext(({ subject }) => subject === "a.one");
  const swapped = relay.swapNext(({ subject }) => subject === "a.two" || subject === "a.four");
  for (const subject of ["one", "two", "three", "four", "five", "one"])
    client.say(`PUB a.${subject} 2\r\nhi`);
  await eventually("seven messages", () => client.text().match(/MSG/g)?.length === 7);
  const heard = client.text().match(/a\.\w+/g);
  expect(heard).toEqual(["a.one", "a.one", "a.three", "a.four", "a.two", "a.five", "a.one"]);
  expect((await repeated).subject).toBe("a.one");
  expect((await swapped).map(({ subject }) => subject)).toEqual(["a.two", "a.four"]);
  expect(relay.attempts).toBe(1);
});

test("a relay holds, passes, delays, refuses and cuts", async () => {
  await using nats = await startNats();
  await using relay = await startRelay(nats.port);
  await using client = await talk(relay.port);
  client.say("CONNECT {}");
  client.say("PING");
  await client.hears("PONG");

  const pongs = () => client.text().split("PONG").length - 1;
  relay.hold("toClient");
  client.say("PING");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(pongs()).toBe(1);
  relay.pass();
  await eventually("the held PONG", () => pongs() === 2);

  relay.delay(60, "toClient");
  const asked = performance.now();
  client.say("PING");
  await eventually("the late PONG", () => pongs() === 3);
  expect(performance.now() - asked).toBeGreaterThan(50);
  relay.pass();

  relay.refuse();
  const refused = connect({ host: "127.0.0.1", port: relay.port }).on("error", () => {});
  await closed(refused);

  const gone = closed(client.socket);
  relay.cutAfter(1);
  client.say("PING");
  await gone;
  expect(relay.connections).toBe(0);
});
