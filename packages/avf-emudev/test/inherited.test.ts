// `fd=` of emu_iavf, as a management process uses it: testpmd is started with two sockets that somebody else has made, one
// that listens and one that is connected already.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { closeFd, socketPair, unixListen } from "@emudev/linux";
import { VfioUserClient } from "@emudev/vfio-user";
import { afterAll, expect, test } from "vitest";
import { endEal, socketPath } from "./support/device-rig.ts";

const TESTPMD = fileURLToPath(new URL("../../../apps/testpmd/dist/main.js", import.meta.url));

afterAll(endEal);

test("an inherited socket that listens, and one that is connected, each serve a device", async () => {
  const path = socketPath();
  const [ours, theirs] = socketPair();
  const listening = unixListen(path);
  const vdevs = ["--vdev=emu_iavf0,fd=3,id=0", "--vdev=emu_iavf1,fd=4,id=1", "--vdev=net_avfbe0,id=0,avf_emu_id=0"];
  const argv = [TESTPMD, "--in-memory", "--log-level", "warning", "--lcores", "0@0,1@0", ...vdevs, "--", "-i"];
  const child = spawn(process.execPath, argv, { stdio: ["pipe", "ignore", "inherit", listening, theirs] });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  for (const fd of [listening, theirs]) closeFd(fd);
  // Both wait for the process to come up: the kernel holds the connection, and the bytes of VERSION.
  const clients = await Promise.all([
    VfioUserClient.connect(path, { timeoutMs: 60_000 }),
    VfioUserClient.connect("the other end", { fd: ours, timeoutMs: 60_000 }),
  ]);
  for (const client of clients) {
    const config = await client.regionRead(7, 0, 4);
    expect(Buffer.from(config).toString("hex")).toBe("86808918");
    client.close();
  }
  child.stdin?.end("quit\n");
  expect(await ended).toBe(0);
});
