// The event channel over a real eventfd and ring: order, acknowledgement, backlog, leaving.
import { setTimeout as sleep } from "node:timers/promises";
import { eventfdRead } from "@emudev/linux";
import { Ring } from "@emudev/shm";
import { afterAll, expect, test } from "vitest";
import {
  EMU_DEV_EVENT_QUEUE_DISABLE,
  EMU_DEV_EVENT_QUEUE_ENABLE,
  EMU_DEV_EVENT_RESET,
  type EmuDevEventChannel,
  EventReceiver,
  emuDevAllocate,
  emuEventDone,
  emuNotify,
  emuSubscribeEvent,
  emuUnsubscribeEvent,
  eventArg,
  eventChannelCreate,
  eventType,
} from "../src/index.ts";
import { arena, fakeOps } from "./support.ts";

const calls: string[] = [];
const dev = emuDevAllocate("events", fakeOps(calls));
const settled = async (promise: Promise<void>): Promise<boolean> =>
  Promise.race([promise.then(() => true), sleep(20).then(() => false)]);
let channels = 0;
const subscribe = async (): Promise<EmuDevEventChannel> => {
  const channel = eventChannelCreate(arena, `ch${channels++}`);
  await emuSubscribeEvent(dev.id, channel);
  return channel;
};
afterAll(() => expect(dev.subscriptions).toEqual([]));

test("without subscribers a notification resolves at once", async () => {
  await emuNotify(dev, EMU_DEV_EVENT_RESET);
});

test("a message wakes the eventfd, carries type and argument, and the notification waits for its answer", async () => {
  const channel = await subscribe();
  const done = emuNotify(dev, EMU_DEV_EVENT_QUEUE_ENABLE, 0x1234);
  expect(eventfdRead(channel.fd)).toBe(1);
  const message = channel.queue.dequeue();
  expect([eventType(message), eventArg(message)]).toEqual([EMU_DEV_EVENT_QUEUE_ENABLE, 0x1234]);
  expect(await settled(done)).toBe(false);
  emuEventDone(dev.id, channel, message);
  expect(await settled(done)).toBe(true);
  expect(() => emuEventDone(dev.id, channel, message)).toThrow(expect.objectContaining({ code: "ENOENT" }));
  await emuUnsubscribeEvent(dev.id, channel);
});

test("two subscribers: the notification waits for both, and one that leaves counts as answered", async () => {
  const a = await subscribe();
  const b = await subscribe();
  const done = emuNotify(dev, EMU_DEV_EVENT_RESET);
  emuEventDone(dev.id, a, a.queue.dequeue());
  expect(await settled(done)).toBe(false);
  await emuUnsubscribeEvent(dev.id, b);
  expect(await settled(done)).toBe(true);
  await emuUnsubscribeEvent(dev.id, a);
});

test("a channel is subscribed once, and unsubscribed once", async () => {
  const channel = await subscribe();
  await expect(emuSubscribeEvent(dev.id, channel)).rejects.toMatchObject({ code: "EEXIST" });
  await emuUnsubscribeEvent(dev.id, channel);
  await expect(emuUnsubscribeEvent(dev.id, channel)).rejects.toMatchObject({ code: "ENOENT" });
});

test("a full ring delays messages and loses none", async () => {
  const channel = { ...eventChannelCreate(arena, "small"), queue: Ring.create(arena, "smallring", 8) };
  await emuSubscribeEvent(dev.id, channel);
  const all = Promise.all(Array.from({ length: 1000 }, (_, i) => emuNotify(dev, 1 + (i % 2), i)));
  const seen: number[] = [];
  for (let message = channel.queue.dequeue(); message !== 0; message = channel.queue.dequeue()) {
    seen.push(eventArg(message));
    emuEventDone(dev.id, channel, message >>> 0);
  }
  await all;
  expect(seen).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  await emuUnsubscribeEvent(dev.id, channel);
});

test("the receiver runs handlers one at a time, in order, and answers after each, also after a failing one", async () => {
  const channel = eventChannelCreate(arena, "receiver");
  const seen: string[] = [];
  let running = 0;
  const receiver = new EventReceiver(
    channel,
    async (type, arg) => {
      expect(++running).toBe(1);
      await sleep(1);
      running--;
      seen.push(`${type}:${arg}`);
      if (arg === 1) throw new Error("expected by the test");
    },
    dev.id,
  );
  await emuSubscribeEvent(dev.id, channel);
  await Promise.all([0, 1, 2].map((arg) => emuNotify(dev, EMU_DEV_EVENT_QUEUE_DISABLE, arg)));
  await emuNotify(dev, EMU_DEV_EVENT_RESET);
  expect(seen).toEqual(["2:0", "2:1", "2:2", "4:0"]);
  await receiver.close();
  await emuUnsubscribeEvent(dev.id, channel);
});

test("what is no event is refused", async () => {
  await expect(emuNotify(dev, 0)).rejects.toMatchObject({ code: "EINVAL" });
  await expect(emuNotify(dev, 1, 0x10000)).rejects.toMatchObject({ code: "EINVAL" });
});
