// Forwarding: from settings and ports to streams, lcores and their tasks; start, stop, and the counts in between. One
// arrangement at a time. Called by the console's start and stop, and by main.ts.
import { type Eal, type LcoreUsage, lcoreUsage, recordCoreCycles } from "@emudev/eal";
import type { DataPort, EthDev, EthStats } from "@emudev/ethdev";
import { PmdError } from "../errors.ts";
import { FWD_MODES } from "../fwd/modes.ts";
import type { FwdTask, QueueRef, StreamTask } from "../fwd/task.ts";
import {
  BURST_MAX,
  FWD_BLOCK_BYTES,
  FWD_BURST,
  FWD_LIVE,
  FWD_MOVES,
  FWD_RECORD_BURSTS,
  FWD_RETRY,
  FWD_TIMED,
  FWD_VERBOSE,
  STREAM_BYTES,
  STREAM_CONSUMED,
  STREAM_COPY_DROPPED,
  STREAM_DROPPED,
  STREAM_HEAD,
  STREAM_HEAD_LEN,
  STREAM_MACS,
  STREAM_NOMBUF,
  STREAM_OWNER,
  STREAM_RETRIES,
  STREAM_RX,
  STREAM_RX_BURSTS,
  STREAM_SEG_LEN,
  STREAM_SEGS,
  STREAM_TX,
  STREAM_TX_BURSTS,
} from "../layout/stream.ts";
import { TRACE_BYTES } from "../layout/trace.ts";
import { type Config, ethPeer } from "./config.ts";
import { makeHead } from "./head.ts";
import { poolFor } from "./pool.ts";
import type { Ports } from "./ports.ts";
import { moved, planStreams, type StreamPlan, sharing, spread } from "./topology.ts";

/** A stream and the lcore that polls it. */
export interface FwdStream extends StreamPlan {
  lcoreId: number;
  off: number;
}

/** What an lcore counted for a stream since forwarding began. */
export interface StreamCounts {
  rx: number;
  tx: number;
  dropped: number;
  consumed: number;
  noMbuf: number;
  retries: number;
  /** By each of the stream's `copies`. */
  copiesDropped: readonly number[];
}

/** An arrangement: which lcore polls which streams, for the ports and the mode at the time it was made. */
export interface Arrangement {
  mode: Config["mode"];
  ports: readonly EthDev[];
  lcores: readonly { id: number; streams: readonly FwdStream[]; trace: number }[];
}

const ENGINE = new URL("../fwd/engine.js", import.meta.url).href;
const STREAMS_ZONE = "fwd_streams";

export class Forwarding {
  readonly #eal: Eal;
  readonly #config: Config;
  readonly #ports: Ports;
  readonly #block: number;
  readonly #traces = new Map<number, number>();
  readonly #bases = new Map<number, StreamCounts>();
  readonly #burstBases = new Map<number, Float64Array>();
  readonly #usageBases = new Map<number, LcoreUsage>();
  #arrangement: Arrangement | undefined;
  #moved: Promise<unknown> = Promise.resolve();
  #running: Promise<unknown> | undefined;
  /** Called when an lcore's function failed; forwarding has stopped then. */
  onFailure: (error: Error) => void = () => {};

  constructor(eal: Eal, config: Config, ports: Ports) {
    this.#eal = eal;
    this.#config = config;
    this.#ports = ports;
    this.#block = eal.arena.memzoneReserve("fwd_block", FWD_BLOCK_BYTES).off;
    this.apply();
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** The arrangement that runs, or ran last. */
  get arrangement(): Arrangement | undefined {
    return this.#arrangement;
  }

  /** Whether a port belongs to what is running. */
  uses(dev: EthDev): boolean {
    return this.running && this.#arrangement!.ports.includes(dev);
  }

  /** Writes the settings that lcores read while they poll. */
  apply(): void {
    const set = (field: number, value: number): void => {
      this.#eal.arena.u32[(this.#block + field) >>> 2] = value;
    };
    set(FWD_BURST, this.#config.burst);
    set(FWD_VERBOSE, this.#config.verbose);
    set(FWD_RETRY, this.#config.retry ? 1 : 0);
    set(FWD_RECORD_BURSTS, this.#config.recordBurstStats ? 1 : 0);
    recordCoreCycles(this.#eal.arena, this.#eal.lcores.workers, this.#config.recordCoreCycles);
  }

  /** The ports that would forward: those of the list, or all. */
  ports(): EthDev[] {
    const { portlist } = this.#config;
    return portlist === null ? this.#ports.all() : portlist.map((id) => this.#ports.get(id));
  }

  /** Streams and lcores as the settings would have them; nothing is reserved or started. */
  plan(): { id: number; streams: StreamPlan[] }[] {
    const { mode, rxq, txq, topology, nbCores, mirrors } = this.#config;
    const { workers } = this.#eal.lcores;
    const ids = this.ports().map((dev) => dev.portId);
    const groups = sharing(planStreams(mode, ids, rxq, txq, topology, mirrors));
    const shares = spread(groups, Math.min(nbCores, workers.length));
    return shares.map((share, i) => ({ id: workers[i]!.id, streams: share.flat() }));
  }

  /**
   * Starts forwarding and resolves when every lcore polls.
   * @param txFirst bursts that each stream sends before it forwards
   * @throws PmdError FORWARD saying what is missing
   */
  async start(txFirst = 0): Promise<Arrangement> {
    if (this.running) throw new PmdError("FORWARD", "Packet forwarding already started");
    this.#check();
    const arrangement = this.#arrange();
    this.#arrangement = arrangement;
    this.apply();
    this.#countUsageFromHere();
    for (const dev of arrangement.ports) this.#ports.record(dev).base = dev.statsGet();
    const pool = poolFor(arrangement, this.#ports, this.#eal.arena).off;
    const tasks = arrangement.lcores.map((lcore) => this.#launch(lcore, pool, txFirst));
    const running = Promise.all(tasks);
    this.#running = running;
    const live = (this.#block + FWD_LIVE) >>> 2;
    running.catch((error) => this.#failed(error as Error, running));
    while (this.#running === running && Atomics.load(this.#eal.arena.i32, live) < tasks.length)
      await Promise.race([running.catch(() => {}), new Promise((resolve) => setTimeout(resolve, 1))]);
    if (this.#running !== running) throw new PmdError("FORWARD", "Packet forwarding could not be started");
    return arrangement;
  }

  /** Stops forwarding and resolves when no lcore polls any more. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) throw new PmdError("FORWARD", "Packet forwarding not started");
    this.#running = undefined;
    for (const { id } of this.#arrangement!.lcores) this.#eal.lcores.stop(id);
    await running.catch(() => {});
  }

  /** Streams that can only change lcores together: those that send to the same transmit queues. */
  units(): FwdStream[][] {
    return sharing(this.#arrangement?.lcores.flatMap(({ streams }) => streams) ?? []);
  }

  /** Has some turns of streams timed, so that their loads can be told. */
  timeStreams(on: boolean): void {
    this.#eal.arena.u32[(this.#block + FWD_TIMED) >>> 2] = on ? 1 : 0;
  }

  /**
   * Gives streams to another lcore of the arrangement: to nobody first, until the old lcore is done with its turn, so that
   * no queue has two pollers and no packet overtakes another. One move at a time, in the order of the calls.
   * @returns false when forwarding has ended meanwhile
   */
  move(streams: readonly FwdStream[], lcoreId: number): Promise<boolean> {
    const done = this.#moved.then(() => this.#move(streams, lcoreId));
    this.#moved = done.catch(() => {});
    return done;
  }

  async #move(streams: readonly FwdStream[], lcoreId: number): Promise<boolean> {
    const running = this.#running;
    if (running === undefined) return false;
    this.#own(streams, 0);
    await this.#eal.synchronize();
    if (this.#running !== running) return false;
    this.#own(streams, this.#eal.lcores.get(lcoreId).index);
    this.#eal.lcores.wake(lcoreId);
    const { lcores, ...rest } = this.#arrangement!;
    this.#arrangement = { ...rest, lcores: moved(lcores, streams, lcoreId) };
    return true;
  }

  #own(streams: readonly FwdStream[], index: number): void {
    const { i32 } = this.#eal.arena;
    for (const { off } of streams) Atomics.store(i32, (off + STREAM_OWNER) >>> 2, index);
    Atomics.add(i32, (this.#block + FWD_MOVES) >>> 2, 1);
  }

  /** What a stream of the arrangement counted since forwarding began, or since `clear`. */
  counts(stream: FwdStream): StreamCounts {
    const counts = this.#read(stream);
    const base = this.#bases.get(stream.off);
    return base === undefined ? counts : since(counts, base);
  }

  /** A port's statistics since forwarding began, and what its streams could not send to it. */
  portStats(dev: EthDev): { stats: EthStats; txDropped: number } {
    const { base } = this.#ports.record(dev);
    const stats = dev.statsGet();
    for (const key of Object.keys(stats) as (keyof EthStats)[]) stats[key] -= base[key];
    let txDropped = 0;
    for (const { streams } of this.#arrangement?.lcores ?? [])
      for (const stream of streams) {
        if (stream.txPort === dev.portId) txDropped += this.counts(stream).dropped;
        const copy = stream.copies.indexOf(dev.portId);
        if (copy >= 0) txDropped += this.counts(stream).copiesDropped[copy]!;
      }
    return { stats, txDropped };
  }

  /** Counts from here on. The lcores' counters go on: what they are now is subtracted. */
  clear(): void {
    if (this.#arrangement === undefined) return;
    for (const dev of this.#arrangement.ports) this.#ports.record(dev).base = dev.statsGet();
    this.#countUsageFromHere();
    for (const { streams } of this.#arrangement.lcores)
      for (const stream of streams) {
        this.#bases.set(stream.off, this.#read(stream));
        for (const at of [stream.off + STREAM_RX_BURSTS, stream.off + STREAM_TX_BURSTS])
          this.#burstBases.set(at, this.#burstWords(at).slice());
      }
  }

  /** What an lcore did since forwarding began, or since `clear`. */
  usage(lcoreId: number): LcoreUsage {
    const usage = lcoreUsage(this.#eal.arena, this.#eal.lcores.get(lcoreId));
    const base = this.#usageBases.get(lcoreId);
    if (base !== undefined) for (const key of Object.keys(usage) as (keyof LcoreUsage)[]) usage[key] -= base[key];
    return usage;
  }

  /** How many bursts of 0, 1, 2, ... packets a stream received, or had accepted, while that was recorded. */
  bursts({ off }: FwdStream, side: "rx" | "tx"): number[] {
    const at = off + (side === "rx" ? STREAM_RX_BURSTS : STREAM_TX_BURSTS);
    const base = this.#burstBases.get(at);
    return [...this.#burstWords(at)].map((count, size) => count - (base?.[size] ?? 0));
  }

  #burstWords(at: number): Float64Array {
    return this.#eal.arena.f64.subarray(at >>> 3, (at >>> 3) + BURST_MAX + 1);
  }

  #countUsageFromHere(): void {
    for (const { id } of this.#arrangement!.lcores)
      this.#usageBases.set(id, lcoreUsage(this.#eal.arena, this.#eal.lcores.get(id)));
  }

  #read({ off, copies }: FwdStream): StreamCounts {
    const at = (field: number): number => this.#eal.arena.f64[(off + field) >>> 3]!;
    return {
      rx: at(STREAM_RX),
      tx: at(STREAM_TX),
      dropped: at(STREAM_DROPPED),
      consumed: at(STREAM_CONSUMED),
      noMbuf: at(STREAM_NOMBUF),
      retries: at(STREAM_RETRIES),
      copiesDropped: copies.map((_, i) => at(STREAM_COPY_DROPPED + 8 * i)),
    };
  }

  #check(): void {
    if (this.#eal.lcores.workers.length === 0)
      throw new PmdError("FORWARD", "No lcore to forward on: the only one is the main lcore; see -l or --lcores");
    const ports = this.ports();
    if (ports.length === 0)
      throw new PmdError("FORWARD", `No ports to forward on; see --vdev and --portlist${this.#hint()}`);
    const stopped = ports.filter((dev) => dev.state !== "started").map((dev) => dev.portId);
    if (stopped.length > 0)
      throw new PmdError("FORWARD", `Not all ports were started: port ${stopped.join(", ")}; see 'port start'`);
    const { mode } = this.#config;
    const { receives, sends, keeps } = FWD_MODES[mode];
    if (mode === "flood" && ports.length < 2)
      throw new PmdError("FORWARD", "Mode flood needs two ports at least; see --vdev and --portlist");
    this.#checkMirrors(keeps);
    if (receives && this.#config.rxq === 0)
      throw new PmdError("FORWARD", `Mode ${mode} needs receive queues; see --rxq`);
    if (sends && this.#config.txq === 0) throw new PmdError("FORWARD", `Mode ${mode} needs transmit queues; see --txq`);
  }

  /** A mirror is a started port, and the packets stay as they are. */
  #checkMirrors(keeps: boolean): void {
    const { mirrors, mode } = this.#config;
    if (mirrors.size > 0 && !keeps)
      throw new PmdError(
        "FORWARD",
        `Mode ${mode} changes or ends packets, so they cannot be mirrored; see 'set mirror'`,
      );
    for (const portId of mirrors.values())
      if (this.#ports.get(portId).state !== "started")
        throw new PmdError("FORWARD", `Port ${portId}, a mirror, is not started; see 'port start' and 'set mirror'`);
  }

  /** A provider alone is no port: newcomers forget its backend. */
  #hint(): string {
    const provider = this.#eal.vdev.devices().find(({ driver }) => driver.name === "emu_iavf");
    if (provider === undefined) return "";
    const id = (provider.params as { id?: number }).id ?? 0;
    return ` (${provider.name} needs a backend to be a port: --vdev=net_avfbe0,id=${id},avf_emu_id=${id})`;
  }

  #arrange(): Arrangement {
    const { arena } = this.#eal;
    const plan = this.plan();
    const count = plan.reduce((sum, { streams }) => sum + streams.length, 0);
    this.#bases.clear();
    this.#burstBases.clear();
    if (arena.memzoneLookup(STREAMS_ZONE) !== undefined) arena.memzoneFree(STREAMS_ZONE);
    let { off } = arena.memzoneReserve(STREAMS_ZONE, count * STREAM_BYTES);
    const lcores = plan.map(({ id, streams }) => ({
      id,
      trace: this.#trace(id),
      streams: streams.map((stream) => {
        const placed = { ...stream, lcoreId: id, off };
        this.#write(placed);
        this.#own([placed], this.#eal.lcores.get(id).index);
        off += STREAM_BYTES;
        return placed;
      }),
    }));
    const ports = new Set(this.ports());
    for (const stream of lcores.flatMap(({ streams }) => streams))
      for (const portId of stream.copies) ports.add(this.#ports.get(portId)); // mirrors
    return { mode: this.#config.mode, ports: [...ports], lcores };
  }

  #trace(lcoreId: number): number {
    const off = this.#traces.get(lcoreId) ?? this.#eal.arena.memzoneReserve(`fwd_trace_${lcoreId}`, TRACE_BYTES).off;
    this.#traces.set(lcoreId, off);
    return off;
  }

  /** Writes a stream's record: addresses, and what txonly's packets look like. */
  #write({ off, txPort }: FwdStream): void {
    const { u8, u16, u32 } = this.#eal.arena;
    const { txpkts } = this.#config;
    const [source, target] = [this.#ports.get(txPort).macAddrGet(), ethPeer(this.#config, txPort)];
    const bytes = txpkts.reduce((sum, length) => sum + length, 0);
    const head = makeHead(target, source, bytes);
    u8.set(target, off + STREAM_MACS);
    u8.set(source, off + STREAM_MACS + 6);
    u32[(off + STREAM_SEGS) >>> 2] = txpkts.length;
    u16.set(txpkts, (off + STREAM_SEG_LEN) >>> 1);
    u32[(off + STREAM_HEAD_LEN) >>> 2] = head.length;
    u8.set(head, off + STREAM_HEAD);
  }

  #launch(lcore: Arrangement["lcores"][number], pool: number, txFirst: number): Promise<unknown> {
    const { mode } = this.#config;
    const { receives, sends } = FWD_MODES[mode];
    const data = new Map<number, DataPort>();
    const queue = (portId: number, side: "rx" | "tx", queueId: number): QueueRef => {
      const port = data.get(portId) ?? this.#ports.get(portId).dataPort();
      data.set(portId, port);
      return { module: port.module, off: port[side][queueId]!, portId, queueId };
    };
    const all = this.#arrangement!.lcores;
    const shared = all.length > 1;
    const own = shared ? all.flatMap((other) => other.streams) : lcore.streams;
    const streams: StreamTask[] = own.map((stream) => ({
      off: stream.off,
      rx: receives ? queue(stream.rxPort, "rx", stream.rxQueue) : null,
      tx: sends || txFirst > 0 ? queue(stream.txPort, "tx", stream.txQueue) : null,
      copies: stream.copies.map((portId) => queue(portId, "tx", stream.txQueue)),
    }));
    const arg: FwdTask = { mode, block: this.#block, pool, trace: lcore.trace, streams, shared, txFirst };
    return this.#eal.lcores.launch(lcore.id, { module: ENGINE, arg });
  }

  #failed(error: Error, running: Promise<unknown>): void {
    if (this.#running !== running) return;
    this.#running = undefined;
    for (const { id } of this.#arrangement!.lcores) this.#eal.lcores.stop(id);
    this.onFailure(error);
  }
}

function since({ copiesDropped, ...counts }: StreamCounts, base: StreamCounts): StreamCounts {
  for (const key of Object.keys(counts) as (keyof typeof counts)[]) counts[key] -= base[key];
  return { ...counts, copiesDropped: copiesDropped.map((n, i) => n - base.copiesDropped[i]!) };
}
