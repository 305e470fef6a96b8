// Our server of the transport bench, in a process of its own: a region of plain memory, DMA regions mapped for real.
//   node server.js PATH CPU [poll]
import { closeFd, type Mapping, mapAnywhere, setAffinity } from "@emudev/linux";
import { type VfioUserDevice, VfioUserServer } from "@emudev/vfio-user";

const REGION_BYTES = 65536;
const [path = "", cpu = "0", mode] = process.argv.slice(2);
// This thread alone: the garbage collector has threads of its own.
setAffinity([Number(cpu)]);

const memory = new Uint8Array(REGION_BYTES);
const maps = new Map<bigint, Mapping>();

const device: VfioUserDevice = {
  info: { resettable: true },
  regions: [{ index: 0, size: REGION_BYTES, flags: 3 }],
  irqs: [],
  regionRead(_index, offset, into) {
    for (let i = 0; i < into.length; i++) into[i] = memory[offset + i] as number;
  },
  regionWrite(_index, offset, data) {
    memory.set(data, offset);
  },
  dmaMap({ iova, size, fd, fileOffset, prot }) {
    try {
      maps.set(iova, mapAnywhere(Number(size), prot, fd, fileOffset));
    } finally {
      closeFd(fd);
    }
  },
  dmaUnmap(iova) {
    maps.get(iova)?.unmap();
    maps.delete(iova);
  },
  reset() {},
};
new VfioUserServer(path, device, { poll: mode === "poll" }).start();
process.once("SIGINT", () => process.exit());
console.log("ready");
