// libvfio-user's test_migration, case by case: device states, DEVICE_FEATURE and the migration data commands, byte by
// byte over a socket, with its errno values. Each test names its case. CONFORMANCE.md has the table.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  COMMAND,
  type DeviceState,
  refusal,
  stateLost,
  VfioUserClient,
  VfioUserServer,
  wire,
} from "../../src/index.ts";
import { MigratableDevice } from "../migratable.ts";
import { concat, fields, newPath, RawPeer, TestDevice, until } from "../support.ts";
import { Rig } from "./support.ts";

const EINVAL = 22;
const EIO = 5;
const GET = 0x10000;
const SET = 0x20000;
const PROBE = 0x40000;
const MIGRATION = 1;
const STATE = 2;
const REPORT = 8;
const { DEVICE_STATES } = wire.migState;
/** A limit that pieces of data run into. */
const XFER = 4;

let device: MigratableDevice;
let server: VfioUserServer;
let peer: RawPeer;

async function connect(xfer: number): Promise<void> {
  peer = new RawPeer(server.sockAddr);
  await peer.greet(`${JSON.stringify({ capabilities: { max_data_xfer_size: xfer } })}\0`);
}

beforeEach(async () => {
  device = new MigratableDevice();
  server = new VfioUserServer(newPath(), device, { shortcut: Rig.shortcut });
  server.start();
  await connect(XFER);
});

afterEach(async () => {
  peer.close();
  await until(() => server.client === null, "the end of the client");
  await server.stop();
});

const feature = (argsz: number, flags: number, ...data: (number | bigint)[]): Uint8Array =>
  concat(fields(argsz, flags), fields(...data));
const setState = (state: number): Promise<number> =>
  peer.errno(COMMAND.DEVICE_FEATURE, feature(16, SET | STATE, state, 0xffffffff));
const go = (state: DeviceState): Promise<number> => setState(DEVICE_STATES.indexOf(state));
const readData = (size: number): Promise<number> => peer.errno(COMMAND.MIG_DATA_READ, fields(8 + size, size));
const writeData = (...data: number[]): Promise<number> =>
  peer.errno(COMMAND.MIG_DATA_WRITE, concat(fields(8 + data.length, data.length), Uint8Array.from(data)));

async function getState(): Promise<DeviceState> {
  const { view, body } = await peer.ask(COMMAND.DEVICE_FEATURE, feature(16, GET | STATE));
  expect(body.length).toBe(16);
  return DEVICE_STATES[view.getUint32(8, true)] as DeviceState;
}

describe("states", () => {
  test("test_migration_shortest_state_transition_paths", async () => {
    const reachable: DeviceState[] = ["stop", "running", "stopCopy", "resuming", "preCopy"];
    const ways: Record<string, DeviceState[]> = {
      "stop preCopy": ["running", "preCopy"],
      "running stopCopy": ["stop", "stopCopy"],
      "running resuming": ["stop", "resuming"],
      "stopCopy running": ["stop", "running"],
      "stopCopy resuming": ["stop", "resuming"],
      "resuming running": ["stop", "running"],
      "resuming stopCopy": ["stop", "stopCopy"],
      "resuming preCopy": ["stop", "running", "preCopy"],
      "preCopy stop": ["running", "stop"],
      "preCopy resuming": ["running", "stop", "resuming"],
    };
    for (const from of reachable) {
      for (const goal of reachable) {
        if (from === "stopCopy" && goal === "preCopy") continue;
        if ((await getState()) === "stopCopy") await go("stop");
        expect(await go(from)).toBe(0);
        device.path = [];
        expect(await go(goal), `${from} to ${goal}`).toBe(0);
        expect(device.path).toEqual(from === goal ? [] : (ways[`${from} ${goal}`] ?? [goal]));
        expect(await getState()).toBe(goal);
      }
    }
    for (const goal of ["error", "runningP2p", "preCopyP2p"] as const) expect(await go(goal)).toBe(EINVAL);
  });

  test("test_migration_stop_copy_to_pre_copy_rejected", async () => {
    expect(await go("stopCopy")).toBe(0);
    expect(await go("preCopy")).toBe(EINVAL);
    expect(await getState()).toBe("stopCopy");
  });

  test("test_migration_nonexistent_state", async () => {
    expect(await setState(0xabcd)).toBe(EINVAL);
    expect(await setState(8)).toBe(EINVAL);
    expect(device.path).toEqual([]);
  });

  test("test_migration_failed_callback: the errno is the callback's, the state what was reached", async () => {
    device.fault = refusal(0xeef, "not now");
    expect(await go("stop")).toBe(0xeef);
    expect(await getState()).toBe("running");
    device.fault = null;
    device.migration.setState = async (state) => {
      if (state === "resuming") throw refusal(0xeef, "not that");
    };
    expect(await go("resuming")).toBe(0xeef);
    expect(await getState()).toBe("stop");
  });

  test.each<[string, unknown, number]>([
    ["says so", stateLost(0xeef, "torn"), 0xeef],
    ["has a bug", new TypeError("for the test"), EIO],
  ])("a device that %s is in state error, which a reset alone ends", async (_what, fault, errno) => {
    device.fault = fault;
    expect(await go("stop")).toBe(errno);
    device.fault = null;
    expect(await getState()).toBe("error");
    for (const goal of DEVICE_STATES) expect(await go(goal)).toBe(EINVAL);
    expect(await peer.errno(COMMAND.DEVICE_RESET)).toBe(0);
    expect(await getState()).toBe("running");
    expect(await go("stop")).toBe(0);
  });

  test("test_migration_get_state", async () => {
    await go("running");
    const { body } = await peer.ask(COMMAND.DEVICE_FEATURE, feature(16, GET | STATE));
    expect(body).toEqual(fields(16, GET | STATE, 2, 0xffffffff));
  });

  test("registers are out of reach while the state is saved, and nothing else is", async () => {
    await go("stopCopy");
    expect(await peer.errno(COMMAND.REGION_READ, fields(0n, 0, 4))).toBe(EINVAL);
    expect(await peer.errno(COMMAND.REGION_WRITE, concat(fields(0n, 0, 4), new Uint8Array(4)))).toBe(EINVAL);
    expect(await peer.errno(COMMAND.DEVICE_GET_INFO, fields(16, 0, 0, 0))).toBe(0);
    await go("stop");
    expect(await peer.errno(COMMAND.REGION_READ, fields(0n, 0, 4))).toBe(0);
  });

  test("the next client finds the device running", async () => {
    await go("stopCopy");
    peer.close();
    await until(() => device.calls.includes("disconnected"), "the clean-up");
    await connect(XFER);
    expect(await getState()).toBe("running");
    expect(device.calls).toContain("reset disconnect");
  });
});

describe("data", () => {
  test("test_handle_mig_data_read: in preCopy and stopCopy alone", async () => {
    for (const state of ["running", "stop", "resuming", "preCopy", "stopCopy"] as const) {
      await go(state);
      device.saved = Uint8Array.of(0, 1, 2, 3);
      if (state !== "preCopy" && state !== "stopCopy") {
        expect(await readData(4)).toBe(EINVAL);
        continue;
      }
      const { body } = await peer.ask(COMMAND.MIG_DATA_READ, fields(12, 4));
      expect(body).toEqual(concat(fields(12, 4), Uint8Array.of(0, 1, 2, 3)));
      const end = await peer.ask(COMMAND.MIG_DATA_READ, fields(12, 4));
      expect(end.body).toEqual(fields(8, 0));
    }
  });

  test("test_handle_mig_data_read_too_long", async () => {
    await go("preCopy");
    expect(await readData(XFER + 1)).toBe(EINVAL);
  });

  test("test_handle_mig_data_read_failed_callback", async () => {
    await go("preCopy");
    device.fault = refusal(0xeef, "no");
    expect(await readData(4)).toBe(0xeef);
  });

  test("test_handle_mig_data_read_short_write", async () => {
    await go("preCopy");
    expect(await peer.errno(COMMAND.MIG_DATA_READ, fields(12, 4).slice(0, 7))).toBe(EINVAL);
    expect(await peer.errno(COMMAND.MIG_DATA_READ, fields(11, 4))).toBe(EINVAL);
  });

  test("test_handle_mig_data_write", async () => {
    await go("resuming");
    expect(await writeData(1, 2, 3, 4)).toBe(0);
    expect(await writeData(5)).toBe(0);
    expect(device.loaded).toEqual([1, 2, 3, 4, 5]);
  });

  test("test_handle_mig_data_write_invalid_state", async () => {
    for (const state of ["running", "stop", "preCopy", "stopCopy"] as const) {
      await go(state);
      expect(await writeData(1, 2, 3, 4)).toBe(EINVAL);
    }
    expect(device.loaded).toEqual([]);
  });

  test("test_handle_mig_data_write_too_long", async () => {
    await go("resuming");
    expect(await writeData(1, 2, 3, 4, 5)).toBe(EINVAL);
  });

  test("test_handle_mig_data_write_failed_callback", async () => {
    await go("resuming");
    device.fault = refusal(0xeef, "no");
    expect(await writeData(1)).toBe(0xeef);
  });

  test("test_handle_mig_data_write_short_write", async () => {
    await go("resuming");
    expect(await peer.errno(COMMAND.MIG_DATA_WRITE, fields(12, 4))).toBe(EINVAL);
    expect(await peer.errno(COMMAND.MIG_DATA_WRITE, concat(fields(12, 4), Uint8Array.of(1, 2, 3)))).toBe(EINVAL);
    expect(device.loaded).toEqual([]);
  });
});

describe("DEVICE_FEATURE", () => {
  test("test_device_feature_migration_get", async () => {
    const { body } = await peer.ask(COMMAND.DEVICE_FEATURE, feature(16, GET | MIGRATION));
    expect(body).toEqual(fields(16, GET | MIGRATION, 5n));
  });

  test.each<[string, Uint8Array]>([
    ["test_device_feature_short_write", feature(16, GET | MIGRATION).slice(0, 7)],
    ["test_device_feature_unsupported_operation", feature(16, SET | MIGRATION, 0n)],
    ["test_device_feature_bad_argsz_probe", feature(2, PROBE | MIGRATION)],
    ["test_device_feature_bad_argsz_get_migration", feature(8, GET | MIGRATION)],
    ["test_device_feature_bad_argsz_get_dma", feature(8 + 24 + 7, GET | REPORT, 0x10000n, 0x20000n, 0x1000n)],
    ["test_device_feature_bad_argsz_set", feature(8, SET | STATE, 2, 0)],
    ["test_device_feature_probe: GET and SET of what has no SET", feature(8, PROBE | GET | SET | MIGRATION)],
    ["neither GET nor SET nor PROBE", feature(16, MIGRATION)],
    ["GET and SET at once", feature(16, GET | SET | STATE, 2, 0)],
    ["an unknown feature", feature(16, PROBE | 3)],
    ["an unknown flag", feature(16, 0x80000 | GET | MIGRATION)],
    ["SET without data", feature(16, SET | STATE)],
  ])("%s", async (_name, body) => {
    expect(await peer.errno(COMMAND.DEVICE_FEATURE, body)).toBe(EINVAL);
    expect(device.path).toEqual([]);
  });

  test.each([PROBE | MIGRATION, PROBE | GET | MIGRATION, PROBE | GET | SET | STATE, PROBE | SET | 6, PROBE | GET | 8])(
    "test_device_feature_probe: flags %i are answered with themselves",
    async (flags) => {
      const { body } = await peer.ask(COMMAND.DEVICE_FEATURE, feature(8, flags));
      expect(body).toEqual(fields(8, flags));
    },
  );

  test("the capability of VERSION tells that there is migration", async () => {
    peer.close();
    await until(() => device.calls.includes("disconnected"), "the clean-up");
    peer = new RawPeer(server.sockAddr);
    const { body } = await peer.greet(null);
    const text = new TextDecoder().decode(body.subarray(4, -1));
    expect(JSON.parse(text).capabilities.migration).toEqual({ pgsize: 4096 });
  });

  test("test_probe_migration_unsupported: a device without migration has no feature and no capability", async () => {
    const plain = new VfioUserServer(newPath(), new TestDevice());
    plain.start();
    const other = new RawPeer(plain.sockAddr);
    const { body } = await other.greet();
    expect(new TextDecoder().decode(body)).not.toContain("migration");
    for (const number of [1, 2, 6, 7, 8]) {
      expect(await other.errno(COMMAND.DEVICE_FEATURE, feature(8, PROBE | number))).toBe(EINVAL);
    }
    expect(await other.errno(COMMAND.MIG_DATA_READ, fields(12, 4))).toBe(EINVAL);
    expect(await other.errno(COMMAND.MIG_DATA_WRITE, fields(12, 4, 0))).toBe(EINVAL);
    other.close();
    const client = await VfioUserClient.connect(plain.sockAddr, { waitMs: 1000 }).catch(() => null);
    if (client !== null) expect(await client.migrationInfo()).toBe(0);
    client?.close();
    await plain.stop();
  });
});

test("our client moves a device's state from one server to another, in pieces", async () => {
  const target = new MigratableDevice();
  const there = new VfioUserServer(newPath(), target);
  there.start();
  peer.close();
  await until(() => device.calls.includes("disconnected"), "the clean-up");
  const from = await VfioUserClient.connect(server.sockAddr, { maxDataXferSize: 1000 });
  const to = await VfioUserClient.connect(there.sockAddr, { maxDataXferSize: 700 });
  const state = Uint8Array.from({ length: 10_000 }, (_, i) => i % 251);
  device.saved = state;
  expect(await from.migrationInfo()).toBe(5);
  await from.setDeviceState("stopCopy");
  await to.setDeviceState("resuming");
  for (let piece = await from.migDataRead(4096); piece.length > 0; piece = await from.migDataRead(4096)) {
    await to.migDataWrite(piece);
  }
  await to.setDeviceState("running");
  expect(Uint8Array.from(target.loaded)).toEqual(state);
  expect(target.path).toEqual(["stop", "resuming", "stop", "running"]);
  expect(await to.getDeviceState()).toBe("running");
  from.close();
  to.close();
  await there.stop();
  await connect(XFER).catch(() => {});
});
