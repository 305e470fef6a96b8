// VERSION: what must be refused, what must be taken, and what the reply may hold (specification: Negotiation, VERSION;
// libvfio-user: test_negotiate). After a refusal the server closes the connection.
import { ERRNO } from "@emudev/vfio-user";
import { message, versionBody } from "../bytes.ts";
import { type Check, Mismatch } from "../check.ts";
import { capabilitiesOf } from "../facts.ts";
import { describe, expect, OFFER, type Probe, refused, SILENCE_MS, succeeded } from "../probe.ts";

const TEST = "VERSION; libvfio-user test_negotiate";
const caps = (text: string): string => `{"capabilities": ${text}}\0`;

/** Refused with an error, or by closing the connection. */
async function refusal(probe: Probe, command: number, body: Uint8Array): Promise<void> {
  const peer = await probe.raw();
  const answer = await probe.exchange(peer, command, body);
  if (answer.kind === "closed") throw new Mismatch("an error, EINVAL, then the end", describe(answer), true);
  refused(answer, ERRNO.EINVAL);
  const after = await peer.receive(Math.min(probe.timeoutMs, 1000));
  expect(after.kind === "closed", "the connection closed behind the refusal", after);
}

function refuses(name: string, text: string | Uint8Array, severity: Check["severity"] = "reference"): Check {
  const body = typeof text === "string" ? versionBody(0, 1, text) : text;
  return { name: `negotiate: ${name} is refused`, severity, reference: TEST, run: (probe) => refusal(probe, 1, body) };
}

function accepts(name: string, body: Uint8Array, look: (reply: DataView, probe: Probe) => void = () => {}): Check {
  return {
    name: `negotiate: ${name}`,
    severity: "must",
    reference: TEST,
    run: async (probe) => {
      const { body: reply } = succeeded(await probe.exchange(await probe.raw(), 1, body));
      expect(reply.byteLength >= 4, "4 bytes or more", reply.byteLength);
      look(reply, probe);
    },
  };
}

export const NEGOTIATE: readonly Check[] = [
  refuses("another major version", versionBody(999, 0, caps("{}")), "must"),
  {
    name: "negotiate: a first command that is not VERSION is refused",
    severity: "must",
    reference: TEST,
    run: (probe) => refusal(probe, 999, versionBody(0, 1, caps("{}"))),
  },
  refuses("VERSION without a payload", new Uint8Array(0), "must"),
  refuses("half a version number", new Uint8Array(2)),
  refuses("JSON without its zero byte", '{"capabilities": {}}'),
  refuses("JSON without its last brace", '{"capabilities": {\0'),
  refuses("JSON with a quote missing", '{"capabilities: {}}\0'),
  refuses("capabilities that are a string", caps('"none"')),
  refuses("max_msg_fds that is a string", caps('{"max_msg_fds": "8"}')),
  refuses("max_msg_fds -1", caps('{"max_msg_fds": -1}')),
  refuses("max_msg_fds 1025", caps('{"max_msg_fds": 1025}')),
  refuses("max_data_xfer_size that is a string", caps('{"max_data_xfer_size": "1"}')),
  refuses("twin_socket.supported that is a number", caps('{"twin_socket": {"supported": 1}}')),
  accepts("a VERSION without JSON is taken", versionBody(0, 1)),
  accepts("an empty object is taken", versionBody(0, 1, "{}\0")),
  accepts("capabilities that nobody knows are ignored", versionBody(0, 1, caps('{"no_such_capability": [1]}'))),
  accepts("minor 0 gets minor 0", versionBody(0, 0, caps("{}")), (reply) =>
    expect(reply.getUint16(2, true) === 0, "minor 0", `minor ${reply.getUint16(2, true)}`),
  ),
  accepts("minor 65535 gets one that exists", versionBody(0, 65535, caps("{}")), (reply) =>
    expect(reply.getUint16(2, true) <= 2, "minor 2 or less", `minor ${reply.getUint16(2, true)}`),
  ),
  accepts("the reply's major is 0", versionBody(0, 1, `${OFFER}\0`), (reply) =>
    expect(reply.getUint16(0, true) === 0, "major 0", `major ${reply.getUint16(0, true)}`),
  ),
  accepts("the reply's JSON holds numbers where numbers belong", versionBody(0, 1, `${OFFER}\0`), (reply) => {
    const found = capabilitiesOf(reply);
    for (const name of ["max_msg_fds", "max_data_xfer_size", "max_dma_maps", "pgsizes"]) {
      const value = found[name];
      const good = value === undefined || (Number.isInteger(value) && (value as number) >= 0);
      expect(good, `${name} a whole number, or absent`, JSON.stringify(value));
    }
  }),
  accepts("write_multiple and twin_socket are not offered unasked", versionBody(0, 1, caps("{}")), (reply) => {
    const { twin_socket: twin, write_multiple: multi } = capabilitiesOf(reply);
    const twinOn = typeof twin === "object" && twin !== null && (twin as { supported?: unknown }).supported === true;
    expect(!twinOn, "no twin_socket in the reply", JSON.stringify(twin));
    expect(multi !== true, "no write_multiple in the reply", JSON.stringify(multi));
  }),
  {
    name: "negotiate: a header that promises more than any message may have ends the connection",
    severity: "reference",
    reference: TEST,
    run: async (probe) => {
      const peer = await probe.raw();
      const answer = await probe.exchange(peer, 1, versionBody(0, 1, "{}\0"), { size: 0x7fffffff });
      if (answer.kind === "closed") return;
      refused(answer);
      const after = await peer.receive(probe.timeoutMs);
      expect(after.kind === "closed", "the end of the connection", after);
    },
  },
  {
    name: "negotiate: VERSION in single bytes is taken",
    severity: "must",
    reference: "unix stream sockets keep no message boundaries",
    run: async (probe) => {
      const peer = await probe.raw();
      for (const byte of message(7, 1, versionBody(0, 1, "{}\0"))) {
        await probe.sendBytes(peer, Uint8Array.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      succeeded(await peer.receive(probe.timeoutMs));
    },
  },
  {
    name: "negotiate: a client that says nothing gets nothing",
    severity: "must",
    reference: "VERSION: the client speaks first",
    run: async (probe) => {
      const answer = await (await probe.raw()).receive(SILENCE_MS);
      expect(answer.kind === "silent", "silence", answer);
    },
  },
];
