// The eventfds that a client binds with SET_IRQS EVENTFD and MASK or UNMASK, by index and vector. They are the server's,
// whoever has those of TRIGGER. An UNMASK eventfd is watched: KVM writes it when the guest has acknowledged a
// level-triggered interrupt (its resample eventfd), without QEMU. A MASK eventfd is written when its vector becomes masked.

import { closeFd, eventfdRead, signalEventfd, type Watcher, watch } from "@emudev/linux";

interface MaskFd {
  index: number;
  vector: number;
  fd: number;
  /** Of an UNMASK eventfd. */
  watcher: Watcher | null;
}

export class MaskFds {
  #bound: MaskFd[] = [];

  /** Takes over the fds; -1 unbinds. */
  bindMask(index: number, start: number, fds: readonly number[]): void {
    fds.forEach((fd, i) => {
      this.#drop((each) => each.index === index && each.vector === start + i && each.watcher === null);
      if (fd >= 0) this.#bound.push({ index, vector: start + i, fd, watcher: null });
    });
  }

  /** Takes over the fds, also when it throws; -1 unbinds. What `onUnmask` throws or rejects has nobody to go to. */
  bindUnmask(index: number, start: number, fds: readonly number[], onUnmask: (vector: number) => unknown): void {
    const left = [...fds];
    try {
      for (let vector = start; left.length > 0; vector++) {
        this.#drop((each) => each.index === index && each.vector === vector && each.watcher !== null);
        const fd = left[0] as number;
        if (fd >= 0) this.#bound.push({ index, vector, fd, watcher: this.#watch(fd, () => onUnmask(vector)) });
        left.shift();
      }
    } catch (error) {
      for (const fd of left) if (fd >= 0) closeFd(fd);
      throw error;
    }
  }

  /** A vector has become masked. */
  signal(index: number, vector: number): void {
    for (const each of this.#bound) {
      if (each.index === index && each.vector === vector && each.watcher === null) signalEventfd(each.fd);
    }
  }

  unbind(index: number): void {
    this.#drop((each) => each.index === index);
  }

  close(): void {
    this.#drop(() => true);
  }

  #watch(fd: number, onUnmask: () => unknown): Watcher {
    return watch(fd, { readable: true }, async () => {
      try {
        if (eventfdRead(fd) > 0) await onUnmask();
      } catch {
        // the device's own trouble; the next write to the eventfd tries again
      }
    });
  }

  #drop(which: (each: MaskFd) => boolean): void {
    const dropped = this.#bound.filter(which);
    this.#bound = this.#bound.filter((each) => !dropped.includes(each));
    for (const { fd, watcher } of dropped) {
      watcher?.close();
      closeFd(fd);
    }
  }
}
