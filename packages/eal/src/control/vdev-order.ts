// The order in which the vdev bus probes devices: those that a driver's `after` names come first, otherwise the order of the
// command line. A cycle is an error that names its members. A pure function, called by vdev-bus.ts.
import { EalError } from "../errors.ts";
import type { VdevDevice } from "./vdev-bus.ts";

/**
 * Sorts new devices so that each comes after what it depends on.
 * @param present devices on the bus already; they may be depended on
 * @throws EalError VDEV when devices depend on each other in a circle
 */
export function dependencyOrder(present: readonly VdevDevice[], added: readonly VdevDevice[]): VdevDevice[] {
  const all = [...present, ...added];
  const order: VdevDevice[] = [];
  const done = new Set<VdevDevice>(present);
  const path: VdevDevice[] = [];
  const visit = (dev: VdevDevice): void => {
    if (done.has(dev)) return;
    if (path.includes(dev)) {
      const circle = [...path.slice(path.indexOf(dev)), dev].map((d) => d.name).join(" after ");
      throw new EalError("VDEV", `devices depend on each other in a circle: ${circle}`);
    }
    path.push(dev);
    for (const other of dev.driver.after?.(dev, all) ?? []) if (other !== dev) visit(other);
    path.pop();
    done.add(dev);
    order.push(dev);
  };
  for (const dev of added) visit(dev);
  return order;
}
