// The client's memory of the device kit as the controller wants it: addresses are numbers, and what is mapped is copied at
// once, without a promise. Made by device.ts.
import { type DmaMemory, VfioUserError } from "@emudev/vfio-user";
import { type Dma, DmaError } from "./dma.ts";

export function guestMemory(memory: DmaMemory): Dma {
  const view = (address: number, bytes: number, forWriting: boolean): Uint8Array | null =>
    memory.view(BigInt(address), bytes, forWriting);
  const write = (address: number, from: Uint8Array): void | Promise<void> => {
    const there = view(address, from.length, true);
    if (there === null) return told(memory.write(BigInt(address), from));
    there.set(from);
  };
  return {
    view,
    write,
    read(address, into): void | Promise<void> {
      const there = view(address, into.length, false);
      if (there === null) return told(memory.read(BigInt(address), into.length).then((data) => into.set(data)));
      into.set(there);
    },
    publish(address, word): void | Promise<void> {
      const there = view(address, 4, true);
      if (there !== null && there.byteOffset % 4 === 0) {
        Atomics.store(new Int32Array(there.buffer, there.byteOffset, 1), 0, word);
        return;
      }
      // a file or a message is written after those before it; a torn word is no harm where one bit of it changes
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setInt32(0, word, true);
      return write(address, bytes);
    },
  };
}

async function told(access: Promise<void>): Promise<void> {
  try {
    await access;
  } catch (error) {
    if (!(error instanceof VfioUserError)) throw error;
    throw new DmaError(error.message, { cause: error });
  }
}
