// Headers, replies and their order, whatever the command (specification: Message format, Header; libvfio-user:
// test_request_errors).
import { COMMAND, ERRNO } from "@emudev/vfio-user";
import { cat, getInfo, message, u8 } from "../bytes.ts";
import { type Check, Mismatch } from "../check.ts";
import { describe, expect, refused, SILENCE_MS, succeeded } from "../probe.ts";

const HEADER = "Header";
const TEST = "Header; libvfio-user test_request_errors";
const NO_REPLY = 0x10;

export const REQUESTS: readonly Check[] = [
  {
    name: "request: a reply bears id and command of its request",
    severity: "must",
    reference: HEADER,
    run: async (probe) => {
      const peer = await probe.connect();
      for (const id of [0, 0xffff, 1, 1, 0x8000]) {
        const reply = succeeded(await probe.exchange(peer, COMMAND.DEVICE_GET_INFO, getInfo(), { id }));
        expect(reply.id === id, `id ${id}`, `id ${reply.id}`);
        expect(reply.command === COMMAND.DEVICE_GET_INFO, "command 4", `command ${reply.command}`);
        expect((reply.flags & 15) === 1, "type 1, reply", `flags ${reply.flags}`);
      }
    },
  },
  {
    name: "request: an error reply is the header alone, with the error flag and an errno",
    severity: "must",
    reference: HEADER,
    run: async (probe) => {
      const answer = await probe.exchange(await probe.connect(), 99, u8(0, 0, 0, 0));
      if (answer.kind !== "reply") throw new Mismatch("an error reply", describe(answer));
      expect((answer.flags & 0x3f) === 0x21, "flags 0x21", answer);
      expect(answer.size === 16, "16 bytes", answer);
      expect(answer.errno > 0 && answer.errno < 4096, "an errno", `${answer.errno}`);
    },
  },
  {
    name: "request: a command that does not exist is refused",
    severity: "must",
    reference: TEST,
    run: async (probe) => refused(await probe.exchange(await probe.connect(), 0x1234, u8(0, 0, 0, 0))),
  },
  {
    name: "request: command 14, retired, is refused",
    severity: "reference",
    reference: "Commands: DIRTY_PAGES is gone",
    run: async (probe) => refused(await probe.exchange(await probe.connect(), 14, u8(0, 0, 0, 0, 0, 0, 0, 0))),
  },
  {
    name: "request: a command of the server's own (DMA_READ) is refused",
    severity: "must",
    reference: "Commands: direction",
    run: async (probe) => refused(await probe.exchange(await probe.connect(), COMMAND.DMA_READ, new Uint8Array(16))),
  },
  {
    name: "request: the server goes on after a refusal",
    severity: "must",
    reference: HEADER,
    run: async (probe) => {
      const peer = await probe.connect();
      refused(await probe.exchange(peer, 0x1234, u8(0, 0, 0, 0)));
      succeeded(await probe.exchange(peer, COMMAND.DEVICE_GET_INFO, getInfo()));
    },
  },
  {
    name: "request: a size below the header's own is refused or ends the connection",
    severity: "must",
    reference: TEST,
    run: async (probe) => {
      const answer = await probe.exchange(await probe.connect(), COMMAND.DEVICE_GET_INFO, u8(), { size: 15 });
      if (answer.kind !== "closed") refused(answer);
    },
  },
  {
    name: "request: a size beyond any message's is refused or ends the connection",
    severity: "must",
    reference: TEST,
    run: async (probe) => {
      const peer = await probe.connect();
      const answer = await probe.exchange(peer, COMMAND.DEVICE_GET_INFO, u8(), { size: 0xffffffff });
      if (answer.kind !== "closed") refused(answer);
    },
  },
  {
    name: "request: a reply that nobody asked for does no harm",
    severity: "must",
    reference: TEST,
    run: async (probe) => {
      const peer = await probe.connect();
      const answer = await probe.exchange(peer, COMMAND.DEVICE_GET_INFO, getInfo(), { flags: 1 });
      if (answer.kind === "reply") refused(answer, ERRNO.EINVAL);
    },
  },
  {
    name: "request: VERSION a second time does no harm",
    severity: "reference",
    reference: "VERSION",
    run: async (probe) => refused(await probe.exchange(await probe.connect(), COMMAND.VERSION, u8(0, 0, 1, 0))),
  },
  {
    name: "request: no reply to a command that wants none",
    severity: "must",
    reference: `${HEADER}: No_reply`,
    run: async (probe) => {
      const peer = await probe.connect();
      await probe.post(peer, COMMAND.DEVICE_GET_INFO, getInfo(), { flags: NO_REPLY, id: 1 });
      const reply = succeeded(await probe.exchange(peer, COMMAND.DEVICE_GET_INFO, getInfo(), { id: 2 }));
      expect(reply.id === 2, "the reply to id 2 alone", `a reply to id ${reply.id}`);
      const more = await peer.receive(SILENCE_MS);
      expect(more.kind === "silent", "nothing more", more);
    },
  },
  {
    name: "request: no reply to a command that wants none and fails",
    severity: "must",
    reference: `${HEADER}: No_reply`,
    run: async (probe) => {
      const peer = await probe.connect();
      await probe.post(peer, COMMAND.DEVICE_GET_IRQ_INFO, u8(), { flags: NO_REPLY, id: 1 });
      const reply = succeeded(await probe.exchange(peer, COMMAND.DEVICE_GET_INFO, getInfo(), { id: 2 }));
      expect(reply.id === 2, "the reply to id 2 alone", `a reply to id ${reply.id}`);
    },
  },
  {
    name: "request: commands in one piece are answered in their order",
    severity: "must",
    reference: "Message format: commands may be pipelined",
    run: async (probe) => {
      const peer = await probe.connect();
      const ids = [11, 12, 13, 14, 15, 16, 17, 18];
      await probe.sendBytes(
        peer,
        cat(...ids.map((id) => message(id, COMMAND.DEVICE_GET_INFO, getInfo()))),
        [],
        "8 at once",
      );
      for (const id of ids) {
        const reply = succeeded(await peer.receive(probe.timeoutMs));
        expect(reply.id === id, `id ${id}`, `id ${reply.id}`);
      }
    },
  },
  {
    name: "request: a command in single bytes is answered once it is whole",
    severity: "must",
    reference: "unix stream sockets keep no message boundaries",
    run: async (probe) => {
      const peer = await probe.connect();
      const bytes = message(9, COMMAND.DEVICE_GET_INFO, getInfo());
      for (const byte of bytes.subarray(0, -1)) {
        await probe.sendBytes(peer, Uint8Array.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      const early = await peer.receive(30);
      expect(early.kind === "silent", "silence before the last byte", early);
      await probe.sendBytes(peer, bytes.subarray(-1), [], "the last byte");
      succeeded(await peer.receive(probe.timeoutMs));
    },
  },
];
