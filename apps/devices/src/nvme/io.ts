// Commands of the NVM command set (NVM Express Base Specification 1.4, chapter 6): read, write, flush, write zeroes and
// deallocate. engine.ts calls executeIo for each command of an I/O queue. Data are copied straight between the store and
// the host's memory where that is mapped, else by way of a buffer. Nothing that is checked is read twice.
import { type Command, NVM } from "./command.ts";
import type { Engine } from "./engine.ts";
import { ALL_NAMESPACES, MAX_TRANSFER, NAMESPACE, type Namespace } from "./identify.ts";
import { readSegments, segmentsOf, viewsOf, writeSegments } from "./prp.ts";
import { demand, STATUS, StatusError } from "./status.ts";

const FORCE_UNIT_ACCESS = 1 << 30;
const DEALLOCATE = 1 << 2;
const RANGE_BYTES = 16;

/** @throws StatusError, DmaError */
export async function executeIo(engine: Engine, command: Command): Promise<number> {
  const { opcode, namespace } = command;
  demand(HANDLERS[opcode] !== undefined, STATUS.INVALID_OPCODE, `I/O command 0x${opcode.toString(16)}`);
  const addressed = namespace === NAMESPACE || (opcode === NVM.FLUSH && namespace === ALL_NAMESPACES);
  demand(addressed, STATUS.INVALID_NAMESPACE, `there is no namespace ${namespace}`);
  await HANDLERS[opcode]?.(engine, command);
  return 0;
}

const HANDLERS: Readonly<Record<number, (engine: Engine, command: Command) => Promise<void>>> = {
  [NVM.FLUSH]: flush,
  [NVM.READ]: read,
  [NVM.WRITE]: write,
  [NVM.WRITE_ZEROES]: writeZeroes,
  [NVM.DATASET_MANAGEMENT]: manage,
};

async function read(engine: Engine, command: Command): Promise<void> {
  const { namespace, health } = engine.host;
  const { offset, bytes } = transferOf(namespace, command);
  const segments = await segmentsOf(engine.dma, command.prp1, command.prp2, bytes, engine.pageBytes);
  const views = viewsOf(engine.dma, segments, true);
  const parts = views ?? [Buffer.allocUnsafe(bytes)];
  await medium(engine, STATUS.UNRECOVERED_READ, () => {
    let at = offset;
    for (const part of parts) {
      namespace.store.read(at, part);
      at += part.length;
    }
  });
  if (views === null) await writeSegments(engine.dma, segments, parts[0] as Uint8Array);
  health.reads++;
  health.bytesRead += bytes;
}

async function write(engine: Engine, command: Command): Promise<void> {
  const { namespace, health } = engine.host;
  const { offset, bytes } = transferOf(namespace, command);
  const segments = await segmentsOf(engine.dma, command.prp1, command.prp2, bytes, engine.pageBytes);
  let parts = viewsOf(engine.dma, segments, false);
  if (parts === null) {
    parts = [Buffer.allocUnsafe(bytes)];
    await readSegments(engine.dma, segments, parts[0] as Uint8Array);
  }
  const pieces = parts;
  await medium(engine, STATUS.WRITE_FAULT, () => {
    let at = offset;
    for (const piece of pieces) {
      namespace.store.write(at, piece);
      at += piece.length;
    }
  });
  await secure(engine, command);
  health.writes++;
  health.bytesWritten += bytes;
}

async function writeZeroes(engine: Engine, command: Command): Promise<void> {
  const { store } = engine.host.namespace;
  const { offset, bytes } = rangeOf(engine.host.namespace, command);
  await medium(engine, STATUS.WRITE_FAULT, () => store.zero(offset, bytes));
  await secure(engine, command);
}

async function flush(engine: Engine): Promise<void> {
  await medium(engine, STATUS.WRITE_FAULT, () => engine.host.namespace.store.flush());
  engine.host.health.flushes++;
}

async function manage(engine: Engine, command: Command): Promise<void> {
  const { store, blocks, blockShift } = engine.host.namespace;
  const list = new Uint8Array(RANGE_BYTES * ((command.word(10) & 0xff) + 1));
  const segments = await segmentsOf(engine.dma, command.prp1, command.prp2, list.length, engine.pageBytes);
  await readSegments(engine.dma, segments, list);
  if ((command.word(11) & DEALLOCATE) === 0) return; // the rest is advice on how the blocks will be used
  const view = new DataView(list.buffer);
  const ranges: { first: number; count: number }[] = [];
  for (let at = 0; at < list.length; at += RANGE_BYTES) {
    const first = view.getUint32(at + 8, true) + view.getUint32(at + 12, true) * 2 ** 32;
    const count = view.getUint32(at + 4, true);
    demand(first + count <= blocks, STATUS.LBA_OUT_OF_RANGE, `blocks ${first} and ${count} more`);
    ranges.push({ first, count });
  }
  const unit = 2 ** blockShift;
  await medium(engine, STATUS.WRITE_FAULT, () => {
    for (const { first, count } of ranges) store.discard(first * unit, count * unit);
  });
}

/** After a write that must be safe when it is completed. */
async function secure(engine: Engine, command: Command): Promise<void> {
  const forced = (command.word(12) & FORCE_UNIT_ACCESS) !== 0;
  if (!forced && engine.features.writeCache) return;
  await medium(engine, STATUS.WRITE_FAULT, () => engine.host.namespace.store.flush());
}

/** The part of the store that a command names, in bytes. */
function rangeOf({ blocks, blockShift }: Namespace, command: Command): { offset: number; bytes: number } {
  const first = command.word(10) + command.word(11) * 2 ** 32;
  const count = (command.word(12) & 0xffff) + 1;
  demand(first + count <= blocks, STATUS.LBA_OUT_OF_RANGE, `blocks ${first} to ${first + count - 1} of ${blocks}`);
  return { offset: first * 2 ** blockShift, bytes: count * 2 ** blockShift };
}

function transferOf(namespace: Namespace, command: Command): { offset: number; bytes: number } {
  const range = rangeOf(namespace, command);
  demand(range.bytes <= MAX_TRANSFER, STATUS.INVALID_FIELD, `${range.bytes} bytes at once`);
  return range;
}

/** What the store fails with is the medium's failure, and the guest's file system is told. */
async function medium(engine: Engine, status: number, work: () => void | Promise<void>): Promise<void> {
  try {
    const result = work();
    if (result !== undefined) await result;
  } catch (error) {
    engine.host.health.mediaErrors++;
    engine.host.log.error(`nvme: the store: ${(error as Error).message}`);
    throw new StatusError(status, "the store failed", { cause: error });
  }
}
