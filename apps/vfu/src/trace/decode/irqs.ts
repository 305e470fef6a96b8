// DEVICE_SET_IRQS (8): which vectors are bound to eventfds, unbound, masked, unmasked or triggered, in the words that say what
// it does rather than which flags do it.
import { IRQ_SET, wire } from "@emudev/vfio-user";
import { bitNames, irqName } from "../../names.ts";
import { type Decoded, decoded, type Payload, short } from "./types.ts";

/** A trace does not know how many vectors there are; the server judges that. */
const ANY_VECTORS = 2 ** 32;

export function setIrqs(payload: Payload): Decoded {
  if (payload.reply) {
    return decoded("", {}, payload.length === 0 ? null : `${payload.length} bytes of payload, where there are none`);
  }
  const msg = wire.setIrqs.decode(payload.view, 0, payload.body.length);
  if (msg === null) return short(payload, wire.setIrqs.SIZE);
  const { argsz, index, start, count, data } = msg;
  const irq = irqName(index);
  const flags = bitNames(msg.flags, IRQ_SET);
  const fields: Record<string, unknown> = { argsz, flags, index, irq, start, count };
  if (data.length > 0) fields.data = data;
  const range = count === 1 ? `${start}` : `${start}..${start + count - 1}`;
  const text = wire.setIrqs.isDisable(msg) ? `${irq} disable all` : `${irq} ${range} ${what(msg, payload.fds.length)}`;
  return decoded(text, fields, wire.setIrqs.invalid(msg, ANY_VECTORS, payload.fds.length));
}

function what({ flags, data }: wire.setIrqs.SetIrqs, fds: number): string {
  const action = flags & IRQ_SET.MASK ? "mask" : flags & IRQ_SET.UNMASK ? "unmask" : "trigger";
  if (flags & IRQ_SET.DATA_EVENTFD) {
    const by = fds === 0 ? "unbind" : "bind";
    return action === "trigger" ? by : `${by} ${action}`;
  }
  return flags & IRQ_SET.DATA_BOOL ? `${action} where ${[...data.subarray(0, 16)].join("")}` : action;
}
