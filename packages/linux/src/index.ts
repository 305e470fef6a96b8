// The system calls of the project's main thread; lcores use `@emudev/linux/data`.
export { getAffinity, setAffinity } from "./affinity.ts";
export { endSignals, signalEventfd } from "./data/signal.ts";
export { ERRNO, errnoName, LinuxError } from "./errors.ts";
export { adoptEventfd, eventfd, eventfdRead, eventfdWrite } from "./events.ts";
export {
  closeFd,
  dupFd,
  type FileStat,
  type FileType,
  fdCount,
  fdName,
  fileStat,
  lockFile,
  mappingCount,
  pread,
  pwrite,
  readInto,
  setNonBlocking,
  writeFrom,
} from "./files.ts";
export { type GuardedRange, type SigbusGuard, sigbusGuard } from "./guard.ts";
export {
  addressOf,
  addSeals,
  adviseHugePages,
  getSeals,
  type Mapping,
  mapAnywhere,
  mapNothing,
  mapShared,
  memfdCreate,
  PROT,
  SEAL,
} from "./memory.ts";
export { SCM_MAX_FD, SocketMessenger } from "./messenger.ts";
export { Peeker } from "./peeker.ts";
export {
  peerCredentials,
  peerGroups,
  type SocketFile,
  shutdownFd,
  socketPair,
  type UnixSocketState,
  unixAccept,
  unixConnect,
  unixListen,
  unixSocketState,
} from "./sockets.ts";
export { ifDown, ifMac, ifMtu, ifSetMac, ifSetMtu, ifState, ifUp, tapOpen } from "./tap.ts";
export { groupId, userId } from "./users.ts";
export { WaitSet } from "./wait-set.ts";
export { type Interest, type Readiness, type Watcher, watch, watcherCount } from "./watch.ts";
