// The two bursts of net_avfbe as plain C, written once for each copy: COPY(to, from, n) and NAME(x) are set by burst.c. The
// same work on the same layout with the same checks as avfbe-ethdev/assembly and the data module around it; what is not the
// plain case (several descriptors, offloads, tags) is told apart here too, and then not served.

static u32 NAME(guest_tx)(u8 *base, u32 q, u32 gq, u32 pkts, u32 n, u32 lcore) {
  u32 size = U32(gq + GQ_SIZE), first = U32(gq + GQ_HEAD), tail = ACQUIRE(U32(gq + GQ_DOORBELL));
  if (unlikely(tail >= size)) {
    U64(gq + GQ_BAD_TAIL)++;
    return 0;
  }
  u32 avail = tail >= first ? tail - first : tail + size - first;
  if (avail == 0 || U32(gq + GTX_TSO_LEFT)) return 0;
  u32 pool = U32(q + RXQ_POOL), held = n < avail ? n : avail;
  while (held && !mbuf_alloc_bulk(base, pool, lcore, pkts, held)) held >>= 1;
  if (unlikely(held == 0)) {
    U64(q + QSTATS_NOMBUF)++;
    return 0;
  }
  u32 table = ACQUIRE(U32(gq + GQ_MEM_WORD));
  u32 ring = xlat(base, table, U64(gq + GQ_BASE), size * TX_DESC_BYTES, MEM_PROT_READ | MEM_PROT_WRITE);
  if (unlikely(ring <= MEM_INDIRECT)) {
    U64(gq + GQ_RING_FAULT)++;
    put_bulk(base, pool, lcore, pkts, held);
    return 0;
  }
  u32 room = U32(q + RXQ_ROOM), port = U32(q + RXQ_PORT), done = 0, bytes = 0, groups = 0, head = first;
  if (room > FRAME_MAX) room = FRAME_MAX;
  bool skipping = U32(gq + GTX_SKIP) != 0;
  while (done < held) {
    u32 desc = ring + head * TX_DESC_BYTES, mbuf = U32(pkts + 4 * done);
    u64 command = U64(desc + TX_DESC_QW1);
    u32 run = (u32)(command >> TX_BUF_SIZE_SHIFT) & TX_BUF_SIZE_MASK;
    if (unlikely((command & PLAIN_MASK) != PLAIN || skipping || run - FRAME_MIN > room - FRAME_MIN)) break;
    u32 from = xlat(base, table, U64(desc), run, MEM_PROT_READ);
    if (unlikely(from <= MEM_INDIRECT)) break;
    u32 to = U32(mbuf + MBUF_BUF) + U16(mbuf + MBUF_DATA_OFF);
    COPY(base + to, base + from, run);
    U16(mbuf + MBUF_DATA_LEN) = run;
    U32(mbuf + MBUF_PKT_LEN) = run;
    U16(mbuf + MBUF_PORT) = port;
    bytes += run;
    u64 address = U64(to) & MAC_MASK;
    if (address & 1) groups += address == MAC_MASK ? 0x10000 : 1;
    done++;
    if (++head == size) head = 0;
  }
  if (head != first) {
    U32(gq + GQ_HEAD) = U32(gq + GTX_DONE) = head;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (u32 at = first; at != head;) {
      U64(ring + at * TX_DESC_BYTES + TX_DESC_QW1) = TX_DTYPE_DONE;
      if (++at == size) at = 0;
    }
  }
  if (done < held) put_bulk(base, pool, lcore, pkts + 4 * done, held - done);
  U64(q + QSTATS_PACKETS) += done;
  U64(q + QSTATS_BYTES) += bytes;
  U64(gq + GTX_PACKETS) += done;
  U64(gq + GTX_BYTES_SENT) += bytes;
  if (groups) {
    U64(gq + GTX_MULTICAST) += groups & 0xffff;
    U64(gq + GTX_BROADCAST) += groups >> 16;
  }
  return done;
}

static inline u32 NAME(rx_burst)(u8 *base, u32 q, u32 pkts, u32 n, u32 lcore) {
  u32 active = ACQUIRE(q + RXQ_ACTIVE), guests = U32(q + RXQ_GUESTS), done = 0;
  for (u32 left = active; left && done < n; left &= left - 1) {
    u32 gq = guests + __builtin_ctz(left) * GTX_BYTES, head = U32(gq + GQ_HEAD);
    done += NAME(guest_tx)(base, q, gq, pkts + 4 * done, n - done, lcore);
    u32 vector = U32(gq + GQ_VECTOR);
    if (vector && U32(gq + GQ_HEAD) != head) raise_vector(base, vector);
  }
  return done;
}

static u32 NAME(guest_rx)(u8 *base, u32 q, u32 gq, u32 pkts, u32 n) {
  u32 size = U32(gq + GQ_SIZE), first = U32(gq + GQ_HEAD), tail = ACQUIRE(U32(gq + GQ_DOORBELL));
  if (unlikely(tail >= size)) {
    U64(gq + GQ_BAD_TAIL)++;
    return 0;
  }
  u32 avail = tail >= first ? tail - first : tail + size - first;
  if (avail > BURST_DESCS_MAX) avail = BURST_DESCS_MAX;
  u32 table = ACQUIRE(U32(gq + GQ_MEM_WORD));
  u32 ring = xlat(base, table, U64(gq + GQ_BASE), size * RX_DESC_BYTES, MEM_PROT_READ | MEM_PROT_WRITE);
  if (unlikely(ring <= MEM_INDIRECT)) {
    U64(gq + GQ_RING_FAULT)++;
    return 0;
  }
  u32 filter = ACQUIRE(U32(gq + GRX_FILTER_WORD));
  bool special = (U32(filter + FILTER_FLAGS) & (FILTER_VLAN | FILTER_STRIP)) || U32(gq + GRX_CRC);
  u32 max_pkt = U32(gq + GRX_MAX_PKT), buf_size = special ? 0 : U32(gq + GRX_BUF_SIZE);
  u32 head = first, done = 0, bytes = 0, multicast = 0, broadcast = 0;
  u64 *back = PTR(u64, gq + GRX_WRITE_BACK);
  for (; done < n; done++) {
    u32 mbuf = U32(pkts + 4 * done), length = U32(mbuf + MBUF_PKT_LEN);
    u32 from = U32(mbuf + MBUF_BUF) + U16(mbuf + MBUF_DATA_OFF);
    if (unlikely(U16(mbuf + MBUF_DATA_LEN) < FRAME_MIN)) break;
    u64 address = U64(from) & MAC_MASK;
    if (address != U64(filter + FILTER_MAC) && address != MAC_MASK && !other_passes(base, filter, address)) break;
    if (unlikely(length > max_pkt || length > buf_size || U16(mbuf + MBUF_NB_SEGS) != 1)) break;
    if (unlikely((U32(mbuf + MBUF_OL_TX) & TX_VLAN) || avail == 0)) break;
    u32 desc = ring + head * RX_DESC_BYTES;
    u32 to = xlat(base, table, U64(desc), length, MEM_PROT_WRITE);
    if (unlikely(to <= MEM_INDIRECT)) break;
    COPY(base + to, base + from, length);
    U64(desc + 16) = 0;
    U64(desc + 24) = 0;
    U64(desc) = 0;
    u64 type = packet_type(base, U16(from + 12), from + 14, length - 14);
    u32 cast = !(address & 1) ? 0 : address == MAC_MASK ? 2 : 1;
    u32 status = RX_STATUS_DD | RX_STATUS_EOF | cast << RX_STATUS_UMBCAST_SHIFT;
    if (U32(mbuf + MBUF_OL_RX) & RX_L4_CKSUM_GOOD) status |= RX_STATUS_L3L4P;
    *back++ = (u64)length << RX_LENGTH_SHIFT | type << RX_PTYPE_SHIFT | status;
    avail--;
    if (++head == size) head = 0;
    bytes += length;
    if (cast == 2) broadcast++;
    else multicast += cast;
  }
  if (head != first) {
    U32(gq + GQ_HEAD) = head;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    back = PTR(u64, gq + GRX_WRITE_BACK);
    for (u32 at = first; at != head;) {
      U64(ring + at * RX_DESC_BYTES + RX_WB_QW1) = *back++;
      if (++at == size) at = 0;
    }
  }
  if (done < n && !avail) U64(gq + GRX_NO_DESC)++;
  U64(q + QSTATS_PACKETS) += done;
  U64(q + QSTATS_BYTES) += bytes;
  U64(gq + GRX_PACKETS) += done;
  U64(gq + GRX_BYTES_SENT) += bytes;
  if (multicast) U64(gq + GRX_MULTICAST) += multicast;
  if (broadcast) U64(gq + GRX_BROADCAST) += broadcast;
  return done;
}

static inline u32 NAME(tx_burst)(u8 *base, u32 q, u32 pkts, u32 n, u32 lcore) {
  u32 gq = ACQUIRE(q + TXQ_GUEST);
  if (unlikely(gq == 0 || n == 0)) return 0;
  for (u32 unlocked = 0; !__atomic_compare_exchange_n(PTR(u32, gq + GQ_LOCK), &unlocked, 1, false, __ATOMIC_ACQUIRE,
                                                      __ATOMIC_RELAXED);
       unlocked = 0)
    pause_cpu();
  u32 head = U32(gq + GQ_HEAD), done = NAME(guest_rx)(base, q, gq, pkts, n), vector = U32(gq + GQ_VECTOR);
  bool raise = U32(gq + GQ_HEAD) != head && vector;
  RELEASE(gq + GQ_LOCK, 0);
  if (done) mbuf_free_bulk(base, lcore, pkts, done);
  if (raise) raise_vector(base, vector);
  return done;
}

// What a polling lcore does with them: receive and drop, take ready mbufs and transmit, receive and transmit. Each runs
// until `total` packets have gone through or a burst moves nothing; it returns how many did.

u32 NAME(run_rx)(u8 *base, u32 rxq, u32 txq, u32 pkts, u32 burst, u32 lcore, u32 pool, u32 total) {
  u32 done = 0, got;
  for (; done < total && (got = NAME(rx_burst)(base, rxq, pkts, burst, lcore)); done += got)
    mbuf_free_bulk(base, lcore, pkts, got);
  return done;
}

u32 NAME(run_tx)(u8 *base, u32 rxq, u32 txq, u32 pkts, u32 burst, u32 lcore, u32 pool, u32 total) {
  u32 done = 0, sent;
  for (; done < total; done += sent) {
    u32 got = get_bulk(base, pool, lcore, pkts, burst);
    sent = NAME(tx_burst)(base, txq, pkts, got, lcore);
    if (unlikely(sent < got)) put_bulk(base, pool, lcore, pkts + 4 * sent, got - sent);
    if (sent == 0) break;
  }
  return done;
}

u32 NAME(run_rxtx)(u8 *base, u32 rxq, u32 txq, u32 pkts, u32 burst, u32 lcore, u32 pool, u32 total) {
  u32 done = 0, got;
  for (; done < total && (got = NAME(rx_burst)(base, rxq, pkts, burst, lcore)); done += got) {
    u32 sent = NAME(tx_burst)(base, txq, pkts, got, lcore);
    if (unlikely(sent < got)) mbuf_free_bulk(base, lcore, pkts + 4 * sent, got - sent);
  }
  return done;
}
