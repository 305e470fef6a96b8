// Who may connect: the socket file's owner and permissions, and the credentials of a peer. The other users are real
// processes that have become another user, so these tests need root and are skipped without it.

import { execFile } from "node:child_process";
import { statSync } from "node:fs";
import { promisify } from "node:util";
import { groupId, userId } from "@emudev/linux";
import { afterEach, describe, expect, test } from "vitest";
import { ERRNO, type ServerOptions, VfioUserClient, VfioUserServer } from "../src/index.ts";
import { LogBook, newPath, RawPeer, TestDevice, until } from "./support.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.log("access.test.ts: tests with processes of other users are skipped: they need root");
const NOBODY = 65534;
const GROUP = 4242;
const client = new URL("../dist/index.js", import.meta.url).href;
/** Becomes somebody else, connects, and prints "ok" or what came in its way. */
const SCRIPT = `
const { VfioUserClient } = await import(${JSON.stringify(client)});
process.setgroups(JSON.parse(process.argv[2]));
process.setgid(${NOBODY});
process.setuid(${NOBODY});
try { (await VfioUserClient.connect(process.argv[1])).close(); console.log("ok"); }
catch (error) { console.log(error.code, error.errno); }`;

/** What a client of another user, in these supplementary groups, is told. */
async function connectAs(path: string, groups: number[]): Promise<string> {
  const args = ["--input-type=module", "-e", SCRIPT, path, JSON.stringify(groups)];
  return (await promisify(execFile)(process.execPath, args)).stdout.trim();
}

let server: VfioUserServer;
let log: LogBook;
function serve(options: ServerOptions): VfioUserServer {
  log = new LogBook();
  server = new VfioUserServer(newPath(), new TestDevice(), { log, ...options });
  server.start();
  return server;
}
afterEach(() => server.stop());

describe("the socket file", () => {
  test("has the mode that was asked for, whatever the umask", () => {
    newPath(); // makes the folder
    const umask = process.umask(0o077);
    try {
      expect(statSync(serve({ mode: 0o666 }).sockAddr).mode & 0o777).toBe(0o666);
    } finally {
      process.umask(umask);
    }
  });
  test("is gone, and its path free, when it cannot be given away", async () => {
    const path = newPath();
    const other = new VfioUserServer(path, new TestDevice(), { uid: 2 ** 32 });
    expect(() => other.start()).toThrow();
    server = new VfioUserServer(path, new TestDevice());
    server.start();
    await other.stop();
  });
  test.skipIf(!isRoot)("belongs to whom it was given", () => {
    const { mode, uid, gid } = statSync(serve({ mode: 0o660, uid: NOBODY, gid: GROUP }).sockAddr);
    expect([mode & 0o777, uid, gid]).toEqual([0o660, NOBODY, GROUP]);
  });
  test.skipIf(!isRoot)("keeps out a user that may not write it, and lets in its group", async () => {
    const { sockAddr } = serve({ mode: 0o660, gid: GROUP });
    expect(await connectAs(sockAddr, [])).toBe(`VFU_ADDRESS ${ERRNO.EACCES}`);
    expect(await connectAs(sockAddr, [GROUP])).toBe("ok");
  });
});

describe("peer credentials", () => {
  test("a peer of another user is answered EACCES and closed, and named in the log", async () => {
    const { sockAddr } = serve({ peer: { uid: [NOBODY + 1] } });
    const peer = new RawPeer(sockAddr);
    const { header } = await peer.greet();
    expect([header.flags, header.error]).toEqual([0x21, ERRNO.EACCES]);
    expect(await peer.receive()).toBe(null);
    peer.close();
    expect(server.stats).toMatchObject({ forbidden: 1, clients: 0 });
    expect(log.lines.join("\n")).toMatch(new RegExp(`warning .*pid ${process.pid}, uid ${process.getuid?.()}`));
  });
  test("they do not keep others out, however many connect", async () => {
    serve({ peer: { uid: [process.getuid?.() ?? -1] } });
    const client = await VfioUserClient.connect(server.sockAddr);
    expect((await client.getInfo()).flags).toBe(3);
    client.close();
    await until(() => server.client === null);
  });
  test.skipIf(!isRoot)("count, whatever the file allows", async () => {
    const { sockAddr } = serve({ mode: 0o666, peer: { uid: [0] } });
    expect(await connectAs(sockAddr, [])).toBe(`VFU_REFUSED ${ERRNO.EACCES}`);
  });
  test.skipIf(!isRoot)("a supplementary group is as good as the first", async () => {
    const { sockAddr } = serve({ mode: 0o666, peer: { gid: [GROUP] } });
    expect(await connectAs(sockAddr, [])).toBe(`VFU_REFUSED ${ERRNO.EACCES}`);
    expect(await connectAs(sockAddr, [GROUP])).toBe("ok");
  });
});

test("users and groups by name", () => {
  serve({});
  expect([userId("root"), groupId("root"), userId("12"), userId("no-such-user"), userId("4294967295")]).toEqual([
    0,
    0,
    12,
    null,
    null,
  ]);
});
