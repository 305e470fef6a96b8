// DEVICE_SET_IRQS: the combinations of flags, ranges and fds that are no request, and binding, triggering and unbinding of
// eventfds as a driver does it (libvfio-user: test_device_set_irqs).
import { eventfd, eventfdRead } from "@emudev/linux";
import { COMMAND, IRQ_FLAG, IRQ_SET } from "@emudev/vfio-user";
import { setIrqs, u8 } from "../bytes.ts";
import { type Check, Mismatch, type Severity } from "../check.ts";
import { expect, type Facts, type Probe, refused, succeeded } from "../probe.ts";

const TEST = "DEVICE_SET_IRQS; libvfio-user test_device_set_irqs";
const { DATA_NONE: NONE, DATA_BOOL: BOOL, DATA_EVENTFD: EVENTFD, MASK, UNMASK, TRIGGER } = IRQ_SET;
const ERR = 3;
const REQ = 4;

/** An index that takes eventfds; MSI-X where there is a choice. */
function usable({ irqs }: Facts): number {
  const good = (index: number): boolean =>
    (irqs[index]?.count ?? 0) > 0 && ((irqs[index]?.flags ?? 0) & IRQ_FLAG.EVENTFD) > 0;
  return [2, 1, 0, 3, 4].find(good) ?? -1;
}
const needsIrq = (facts: Facts): string | null => (usable(facts) < 0 ? "no interrupt index takes eventfds" : null);
const countOf = (facts: Facts): number => facts.irqs[usable(facts)]?.count ?? 0;

type Body = (facts: Facts, index: number) => Uint8Array;

function refuses(name: string, body: Body, fds = 0, severity: Severity = "reference", skip = needsIrq): Check {
  return {
    name: `irqs: ${name} is refused`,
    severity,
    reference: TEST,
    skip,
    run: async (probe) => {
      const own = Array.from({ length: fds }, () => probe.keep(eventfd()));
      const payload = body(probe.facts, usable(probe.facts));
      refused(await probe.exchange(await probe.connect(), COMMAND.DEVICE_SET_IRQS, payload, { fds: own }));
    },
  };
}

const has = (wanted: number) => (facts: Facts) => (facts.irqs[wanted]?.count ? null : `index ${wanted} has no vectors`);

/** The server's signal and its reply are in any order as seen by another process: looked for a moment. */
async function arrives(fd: number, times: number): Promise<void> {
  let count = 0;
  for (let turn = 0; turn < 50 && count < times; turn++) {
    count += eventfdRead(fd);
    if (count < times) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  if (count !== times) throw new Mismatch(`the eventfd signalled ${times} times`, `${count} times`);
}

async function bound(probe: Probe, initial = 0) {
  const index = usable(probe.facts);
  const fd = probe.keep(eventfd(initial));
  const peer = await probe.connect();
  const ask = async (body: Uint8Array, fds: number[] = []) =>
    succeeded(await probe.exchange(peer, COMMAND.DEVICE_SET_IRQS, body, { fds }));
  await ask(setIrqs(EVENTFD | TRIGGER, index, 0, 1), [fd]);
  return { fd, index, ask };
}

export const IRQS: readonly Check[] = [
  refuses(
    "a message without payload",
    () => u8(),
    0,
    "must",
    () => null,
  ),
  refuses("a message cut short", (_, index) => setIrqs(NONE | TRIGGER, index, 0, 0).subarray(0, 16), 0, "must"),
  refuses("argsz 19", (_, index) => setIrqs(NONE | TRIGGER, index, 0, 0, u8(), 19)),
  refuses(
    "an index that does not exist",
    ({ irqs }) => setIrqs(NONE | TRIGGER, irqs.length, 0, 0),
    0,
    "must",
    () => null,
  ),
  refuses("MASK with UNMASK", (_, index) => setIrqs(NONE | MASK | UNMASK, index, 0, 1)),
  refuses("no action", (_, index) => setIrqs(NONE, index, 0, 1)),
  refuses("DATA_NONE with DATA_BOOL", (_, index) => setIrqs(NONE | BOOL | TRIGGER, index, 0, 1, u8(0))),
  refuses("flags that nobody knows", (_, index) => setIrqs(NONE | TRIGGER | 0x100, index, 0, 1)),
  refuses(
    "a start beyond the last vector",
    (facts, index) => setIrqs(NONE | TRIGGER, index, countOf(facts), 1),
    0,
    "must",
  ),
  refuses(
    "a range beyond the last vector",
    (facts, index) => setIrqs(NONE | TRIGGER, index, 0, countOf(facts) + 1),
    0,
    "must",
  ),
  refuses("a range that overflows 32 bits", (_, index) => setIrqs(NONE | TRIGGER, index, 0xffffffff, 2), 0, "must"),
  refuses("MASK of ERR", () => setIrqs(NONE | MASK, ERR, 0, 1), 0, "reference", has(ERR)),
  refuses("MASK of REQ", () => setIrqs(NONE | MASK, REQ, 0, 1), 0, "reference", has(REQ)),
  refuses("count 0 with a start that is not 0", (_, index) => setIrqs(NONE | TRIGGER, index, 1, 0)),
  refuses("count 0 with MASK", (_, index) => setIrqs(NONE | MASK, index, 0, 0)),
  refuses("count 0 with DATA_BOOL", (_, index) => setIrqs(BOOL | TRIGGER, index, 0, 0)),
  refuses("count 0 with DATA_EVENTFD", (_, index) => setIrqs(EVENTFD | TRIGGER, index, 0, 0)),
  refuses("an fd with DATA_BOOL", (_, index) => setIrqs(BOOL | TRIGGER, index, 0, 1, u8(0)), 1),
  refuses("an fd with DATA_NONE", (_, index) => setIrqs(NONE | TRIGGER, index, 0, 1), 1),
  refuses(
    "1 fd for 2 vectors",
    (_, index) => setIrqs(EVENTFD | TRIGGER, index, 0, 2),
    1,
    "reference",
    (facts) => (countOf(facts) < 2 ? "no index has 2 vectors" : null),
  ),
  refuses("more fds than vectors named", (_, index) => setIrqs(EVENTFD | TRIGGER, index, 0, 1), 2),
  refuses("DATA_BOOL without its bytes", (_, index) => setIrqs(BOOL | TRIGGER, index, 0, 1)),
  refuses("DATA_BOOL with too many bytes", (_, index) => setIrqs(BOOL | TRIGGER, index, 0, 1, u8(1, 1))),
  {
    name: "irqs: an eventfd is bound, triggered by DATA_NONE, and adds 1",
    severity: "must",
    reference: `${TEST}, test_irq_trigger`,
    skip: needsIrq,
    run: async (probe) => {
      const { fd, index, ask } = await bound(probe, 4);
      await ask(setIrqs(NONE | TRIGGER, index, 0, 1));
      await arrives(fd, 5);
    },
  },
  {
    name: "irqs: DATA_BOOL triggers where its byte is 1, and only there",
    severity: "must",
    reference: TEST,
    skip: needsIrq,
    run: async (probe) => {
      const { fd, index, ask } = await bound(probe);
      await ask(setIrqs(BOOL | TRIGGER, index, 0, 1, u8(0)));
      await ask(setIrqs(BOOL | TRIGGER, index, 0, 1, u8(1)));
      await arrives(fd, 1);
    },
  },
  {
    name: "irqs: an eventfd that replaces another is the one that is signalled",
    severity: "must",
    reference: TEST,
    skip: needsIrq,
    run: async (probe) => {
      const { fd, index, ask } = await bound(probe);
      const next = probe.keep(eventfd());
      await ask(setIrqs(EVENTFD | TRIGGER, index, 0, 1), [next]);
      await ask(setIrqs(NONE | TRIGGER, index, 0, 1));
      await arrives(next, 1);
      expect(eventfdRead(fd) === 0, "the replaced eventfd untouched", "signalled");
    },
  },
  {
    name: "irqs: DATA_EVENTFD without fds unbinds",
    severity: "must",
    reference: TEST,
    skip: needsIrq,
    run: async (probe) => {
      const { fd, index, ask } = await bound(probe);
      await ask(setIrqs(EVENTFD | TRIGGER, index, 0, 1));
      await ask(setIrqs(NONE | TRIGGER, index, 0, 0));
      expect(eventfdRead(fd) === 0, "the eventfd untouched", "signalled");
    },
  },
  {
    name: "irqs: count 0 with DATA_NONE disables all vectors",
    severity: "must",
    reference: TEST,
    skip: needsIrq,
    run: async (probe) => {
      const { fd, index, ask } = await bound(probe);
      await ask(setIrqs(NONE | TRIGGER, index, 0, 0));
      expect(eventfdRead(fd) === 0, "the eventfd untouched", "signalled");
    },
  },
];
