// Admin commands (NVM Express Base Specification 1.4, chapter 5): identify, queues, features, log pages, abort. engine.ts
// calls executeAdmin for each command of queue 0, except event requests, which it holds. What a command returns is double
// word 0 of its completion.
import { ADMIN, type Command } from "./command.ts";
import type { Engine } from "./engine.ts";
import {
  ALL_NAMESPACES,
  identifyController,
  identifyNamespace,
  MAX_TRANSFER,
  NAMESPACE,
  namespaceDescriptors,
  namespaceList,
} from "./identify.ts";
import { segmentsOf, writeSegments } from "./prp.ts";
import { CompletionQueue } from "./queue.ts";
import { MAX_QUEUE_ENTRIES } from "./registers.ts";
import { demand, STATUS, StatusError } from "./status.ts";

/** @throws StatusError, DmaError */
export async function executeAdmin(engine: Engine, command: Command): Promise<number> {
  switch (command.opcode) {
    case ADMIN.IDENTIFY:
      return give(engine, command, identify(engine, command));
    case ADMIN.CREATE_CQ:
      return createCompletionQueue(engine, command);
    case ADMIN.CREATE_SQ:
      return createSubmissionQueue(engine, command);
    case ADMIN.DELETE_CQ:
      return deleteCompletionQueue(engine, command);
    case ADMIN.DELETE_SQ:
      return deleteSubmissionQueue(engine, command);
    case ADMIN.SET_FEATURES: {
      demand(command.word(10) >>> 31 === 0, STATUS.FEATURE_NOT_SAVEABLE, "no feature is saved");
      const hasQueues = engine.completions.size > 1;
      return engine.features.set(command.word(10) & 0xff, command.word(11), hasQueues);
    }
    case ADMIN.GET_FEATURES:
      return engine.features.get(command.word(10) & 0xff, command.word(11));
    case ADMIN.GET_LOG_PAGE:
      return getLogPage(engine, command);
    case ADMIN.ABORT: {
      const [queue, id] = [command.word(10) & 0xffff, command.word(10) >>> 16];
      // Commands end soon by themselves; only event requests are there for long. 1: it was not aborted.
      return queue === 0 && engine.abortEventRequest(id) ? 0 : 1;
    }
    default:
      throw new StatusError(STATUS.INVALID_OPCODE, `admin command 0x${command.opcode.toString(16)}`);
  }
}

async function give(engine: Engine, command: Command, data: Uint8Array): Promise<number> {
  const segments = await segmentsOf(engine.dma, command.prp1, command.prp2, data.length, engine.pageBytes);
  await writeSegments(engine.dma, segments, data);
  return 0;
}

function identify({ host }: Engine, command: Command): Uint8Array {
  const { namespace } = command;
  const structure = command.word(10) & 0xff;
  const existing = (): void =>
    demand(namespace === NAMESPACE, STATUS.INVALID_NAMESPACE, `there is no namespace ${namespace}`);
  switch (structure) {
    case 0:
      existing();
      return identifyNamespace(host.namespace);
    case 1:
      return identifyController(host.identity);
    case 2:
      demand(namespace < ALL_NAMESPACES - 1, STATUS.INVALID_NAMESPACE, "no number is higher");
      return namespaceList(namespace);
    case 3:
      existing();
      return namespaceDescriptors(host.identity);
    default:
      throw new StatusError(STATUS.INVALID_FIELD, `structure ${structure} is not there`);
  }
}

interface NewQueue {
  id: number;
  entries: number;
  base: number;
}

/** What both kinds of queues are made with. `exists`: whether one of that number is there already. */
function newQueue(engine: Engine, command: Command, exists: (id: number) => boolean): NewQueue {
  const id = command.word(10) & 0xffff;
  const entries = (command.word(10) >>> 16) + 1;
  const free = id > 0 && id <= engine.features.queues && !exists(id);
  demand(free, STATUS.INVALID_QUEUE_ID, `queue ${id} cannot be made`);
  const fits = entries >= 2 && entries <= MAX_QUEUE_ENTRIES;
  demand(fits, STATUS.INVALID_QUEUE_SIZE, `a queue of ${entries} entries cannot be`);
  demand((command.word(11) & 1) !== 0, STATUS.INVALID_FIELD, "queues lie in contiguous memory");
  const aligned = command.prp1 % engine.pageBytes === 0;
  demand(aligned, STATUS.INVALID_PRP_OFFSET, "a queue starts with a page");
  return { id, entries, base: command.prp1 };
}

function createCompletionQueue(engine: Engine, command: Command): number {
  const { id, entries, base } = newQueue(engine, command, (number) => engine.completions.has(number));
  const interrupts = (command.word(11) & 2) !== 0;
  const vector = command.word(11) >>> 16;
  demand(!interrupts || vector < engine.host.vectors, STATUS.INVALID_VECTOR, `there is no vector ${vector}`);
  engine.completions.set(id, new CompletionQueue(id, base, entries, interrupts ? vector : -1));
  return 0;
}

function createSubmissionQueue(engine: Engine, command: Command): number {
  const { id, entries, base } = newQueue(engine, command, (number) => engine.submissions.has(number));
  const number = command.word(11) >>> 16;
  const possible = number > 0 && number <= engine.features.queues;
  demand(possible, STATUS.INVALID_QUEUE_ID, `completion queue ${number} is none for I/O`);
  const completions = engine.completions.get(number);
  if (completions === undefined)
    throw new StatusError(STATUS.INVALID_COMPLETION_QUEUE, `completion queue ${number} is not made`);
  engine.addSubmissionQueue(id, base, entries, completions);
  return 0;
}

function deleteCompletionQueue(engine: Engine, command: Command): number {
  const id = command.word(10) & 0xffff;
  const queue = engine.completions.get(id);
  if (id === 0 || queue === undefined) throw new StatusError(STATUS.INVALID_QUEUE_ID, `queue ${id}`);
  demand(queue.users.size === 0, STATUS.INVALID_QUEUE_DELETION, `submission queues complete to queue ${id}`);
  engine.completions.delete(id);
  return 0;
}

async function deleteSubmissionQueue(engine: Engine, command: Command): Promise<number> {
  const id = command.word(10) & 0xffff;
  const queue = engine.submissions.get(id);
  if (id === 0 || queue === undefined || queue.closed) throw new StatusError(STATUS.INVALID_QUEUE_ID, `queue ${id}`);
  await engine.removeSubmissionQueue(queue);
  return 0;
}

async function getLogPage(engine: Engine, command: Command): Promise<number> {
  const id = command.word(10) & 0xff;
  const page = engine.host.health.page(id);
  if (page === null) throw new StatusError(STATUS.INVALID_LOG_PAGE, `log page ${id}`);
  const bytes = 4 * ((command.word(10) >>> 16) + (command.word(11) & 0xffff) * 0x10000 + 1);
  const offset = command.word(12) + command.word(13) * 2 ** 32;
  demand(bytes <= MAX_TRANSFER, STATUS.INVALID_FIELD, `${bytes} bytes at once`);
  demand(offset % 4 === 0 && offset <= page.length, STATUS.INVALID_FIELD, `offset ${offset} of log page ${id}`);
  const data = new Uint8Array(bytes);
  data.set(page.subarray(offset, offset + bytes));
  await give(engine, command, data);
  const retain = (command.word(10) & (1 << 15)) !== 0;
  if (!retain) engine.events.looked(id);
  return 0;
}
