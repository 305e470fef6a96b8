// The host's TCP peer, run in a test's network namespace: `node tcp-peer.js BYTES`. It listens on two ports of every address
// of the namespace: who connects to 5001 receives BYTES random bytes; what is sent to 5002 is taken to its end. For each
// connection one line of JSON tells port, byte count and sha256. tcp-transfer.ts reads them.
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:net";

const payload = randomBytes(Number(process.argv[2] ?? 0));
const tell = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);
const sha256 = createHash("sha256").update(payload).digest("hex");

const source = createServer((socket) => {
  socket.on("error", (error) => tell({ port: 5001, error: error.message }));
  socket.end(payload, () => tell({ port: 5001, bytes: payload.length, sha256 }));
});
const sink = createServer({ allowHalfOpen: true }, (socket) => {
  const hash = createHash("sha256");
  let bytes = 0;
  socket.on("error", (error) => tell({ port: 5002, error: error.message }));
  socket.on("data", (data) => {
    bytes += data.length;
    hash.update(data);
  });
  socket.on("end", () => {
    tell({ port: 5002, bytes, sha256: hash.digest("hex") });
    socket.end();
  });
});
source.listen(5001, () => sink.listen(5002, () => tell({ listening: true })));
