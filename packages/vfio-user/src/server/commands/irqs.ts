// DEVICE_SET_IRQS: eventfds are bound and unbound, vectors masked, unmasked or triggered on the client's behalf. The
// combinations of flags are those of the specification's table; wire/set-irqs.ts has judged them. An eventfd with UNMASK
// unmasks its vector whenever the client (or KVM, when the guest acknowledges INTx) writes it; one with MASK is written
// when its vector becomes masked. Devices without masks answer both with ENOTSUP.

import { adoptEventfd } from "@emudev/linux";
import { refusal } from "../../errors.ts";
import { ERRNO, IRQ_SET } from "../../wire/constants.ts";
import { setIrqs } from "../../wire/index.ts";
import { after, type Command, type Context, check, EMPTY, parsed } from "./command.ts";

interface Request {
  msg: setIrqs.SetIrqs;
  fds: readonly number[];
}

export const setIrqsCommand: Command<Request> = {
  control: () => true,
  maxFds: Number.POSITIVE_INFINITY,

  parse(message, { irqs, device }) {
    const msg = parsed(setIrqs.decode(message.view, message.at, message.length));
    check(msg.index < irqs.length ? null : `interrupt index ${msg.index} of ${irqs.length}`);
    check(setIrqs.invalid(msg, irqs.spec(msg.index).count, message.fds.length));
    for (const fd of message.fds) adoptEventfd(fd);
    if (msg.flags & IRQ_SET.DATA_EVENTFD && !(msg.flags & IRQ_SET.TRIGGER) && device.maskIrqs === undefined) {
      throw refusal(ERRNO.ENOTSUP, "the device has no masks");
    }
    return { msg, fds: message.fds };
  },

  run({ msg, fds }, context) {
    const done = (): typeof EMPTY => EMPTY;
    if (setIrqs.isDisable(msg)) return after(unbind(context, msg.index), done);
    if (msg.flags & IRQ_SET.DATA_EVENTFD) {
      const bound = fds.length > 0 ? fds : new Array<number>(msg.count).fill(-1);
      if (!(msg.flags & IRQ_SET.TRIGGER)) return bindMasks(context, msg, bound);
      return after(bind(context, msg.index, msg.start, bound), done);
    }
    if (msg.flags & IRQ_SET.TRIGGER) {
      trigger(context, msg);
      return EMPTY;
    }
    return after(mask(context, msg), done);
  },
};

/** Every vector of an index loses its eventfd. Also what happens to the interrupts of a client that has left. */
export function unbind(context: Pick<Context, "device" | "irqs">, index: number): void | Promise<void> {
  const { count } = context.irqs.spec(index);
  context.irqs.masks.unbind(index);
  if (count > 0) return bind(context, index, 0, new Array<number>(count).fill(-1));
}

function bind(
  { device, irqs }: Pick<Context, "device" | "irqs">,
  index: number,
  start: number,
  fds: readonly number[],
): void | Promise<void> {
  const set = (bound: readonly number[]): void => irqs.set(index, start, bound);
  if (device.setIrqs === undefined) return set(fds);
  // From here on the device may close what was bound, so nobody is to be told those numbers.
  const before = fds.map((_, i) => irqs.fd(index, start + i));
  set(new Array<number>(fds.length).fill(-1));
  const restore = (error: unknown): never => {
    set(before);
    throw error;
  };
  try {
    const result = after(device.setIrqs(index, start, fds), () => set(fds));
    return result instanceof Promise ? result.catch(restore) : result;
  } catch (error) {
    return restore(error);
  }
}

function trigger({ device, irqs }: Context, msg: setIrqs.SetIrqs): void {
  for (let i = 0; i < msg.count; i++) {
    if (msg.flags & IRQ_SET.DATA_BOOL && !msg.data[i]) continue;
    if (device.trigger !== undefined) device.trigger(msg.index, msg.start + i);
    else irqs.trigger(msg.index, msg.start + i);
  }
}

function bindMasks({ device, irqs }: Context, msg: setIrqs.SetIrqs, fds: readonly number[]): typeof EMPTY {
  const { index, start, flags } = msg;
  if (flags & IRQ_SET.MASK) irqs.masks.bindMask(index, start, fds);
  else irqs.masks.bindUnmask(index, start, fds, (vector) => device.maskIrqs?.(index, vector, 1, false));
  return EMPTY;
}

/** One callback for each run of vectors that are meant. */
async function mask({ device, irqs }: Context, msg: setIrqs.SetIrqs): Promise<void> {
  const masked = (msg.flags & IRQ_SET.MASK) !== 0;
  const meant = (i: number): boolean => i < msg.count && !(msg.flags & IRQ_SET.DATA_BOOL && !msg.data[i]);
  for (let i = 0; i < msg.count; i++) {
    if (!meant(i)) continue;
    let end = i + 1;
    while (meant(end)) end++;
    await device.maskIrqs?.(msg.index, msg.start + i, end - i, masked);
    if (masked) for (; i < end; i++) irqs.masks.signal(msg.index, msg.start + i);
    i = end;
  }
}
