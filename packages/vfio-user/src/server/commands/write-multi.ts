// REGION_WRITE_MULTI: register writes that a client has gathered, carried out in their order and each as if it had come
// alone. One that fails does not keep the others back: the reply counts those that were carried out, and is an error
// when none was. Served only to clients that agreed on write_multiple.

import { PCI_REGION } from "../../wire/constants.ts";
import { regionAccess, regionWriteMulti } from "../../wire/index.ts";
import { type Command, type Context, check, type Reply } from "./command.ts";
import { checkNotFrozen } from "./region.ts";

type Write = regionWriteMulti.Write;

export const regionWriteMultiCommand: Command<Write[]> = {
  control: (writes) => writes.some(({ region }) => region === PCI_REGION.CONFIG),
  maxFds: 0,

  parse(message, { client }) {
    const { writeMultiple, maxDataXferSize } = client.capabilities;
    check(writeMultiple ? null : "write_multiple was not agreed on");
    const writes = regionWriteMulti.decode(message.view, message.at, message.length, maxDataXferSize);
    if (typeof writes === "string") check(writes);
    return writes as Write[];
  },

  run: runFrom,
};

/** Goes on without a promise while the device needs none, so that plain writes stay in one turn of the event loop. */
function runFrom(writes: Write[], context: Context, posted: boolean, from = 0, progress = newProgress()) {
  for (let i = from; i < writes.length; i++) {
    let result: void | Promise<void>;
    try {
      result = writeOne(writes[i] as Write, context, posted);
    } catch (error) {
      progress.error ??= error;
      continue;
    }
    if (result === undefined) {
      progress.done++;
      continue;
    }
    const next = (): Reply | Promise<Reply> => runFrom(writes, context, posted, i + 1, progress);
    return result.then(
      () => {
        progress.done++;
        return next();
      },
      (error) => {
        progress.error ??= error;
        return next();
      },
    );
  }
  return replyOf(progress);
}

interface Progress {
  done: number;
  /** The first. */
  error: unknown;
}

const newProgress = (): Progress => ({ done: 0, error: null });

function writeOne(write: Write, { device, regions, migration }: Context, posted: boolean): void | Promise<void> {
  checkNotFrozen(migration);
  check(regionAccess.invalid(write, regions.writable(write.region), regionWriteMulti.DATA_MAX));
  if (write.count > 0) return device.regionWrite(write.region, Number(write.offset), write.data, posted);
}

function replyOf({ done, error }: Progress): Reply {
  if (done === 0 && error !== null) throw error;
  const body = new Uint8Array(regionWriteMulti.SIZE);
  regionWriteMulti.encodeCountInto(new DataView(body.buffer), 0, done);
  return { body };
}
