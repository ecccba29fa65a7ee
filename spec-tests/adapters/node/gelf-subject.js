'use strict';

// The subject protocol of the GELF conformance suite (spec-tests/PROTOCOL.md), for adapters in JavaScript.
//
// An adapter calls `serve` with its answer to "hello" and a function for each request that its library supports:
//
//   serve(
//     { name: 'library', version: '1.0', language: 'JavaScript', can: ['send'], sends: ['udp'] },
//     { send: async ({ message }) => ({ datagrams: await captureUdp((port) => library.send(port, message)) }) },
//   );

const crypto = require('crypto');
const dgram = require('dgram');
const { once } = require('events');
const net = require('net');
const readline = require('readline');
const zlib = require('zlib');

const LOOPBACK = '127.0.0.1';
const CHUNK_HEADER = 12;
const MEMBERS = ['version', 'host', 'short_message', 'full_message', 'timestamp', 'level'];

// A request that the library does not support.
class Unsupported extends Error {}

// An error of the library.
class Refused extends Error {}

// Throws Unsupported for an integer that JavaScript may have changed before the library is called.
function checkNumbers({ fields = {} }) {
  for (const value of Object.values(fields)) {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      throw new Unsupported('JavaScript numbers hold integers of at most 53 bits');
    }
  }
}

// Calls `send` with the port of a UDP socket, and returns the datagrams that it sent before it returned.
async function captureUdp(send) {
  const receiver = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  const marker = dgram.createSocket('udp4');
  const received = [];
  const end = crypto.randomBytes(16);
  try {
    receiver.bind(0, LOOPBACK);
    await once(receiver, 'listening');
    const ended = new Promise((resolve) => {
      receiver.on('message', (datagram) => (datagram.equals(end) ? resolve() : received.push(datagram)));
    });
    const { port } = receiver.address();
    await send(port);
    // The loopback keeps the order, so this is the last datagram.
    marker.send(end, port, LOOPBACK);
    await ended;
  } finally {
    receiver.close();
    marker.close();
  }
  return received.map((datagram) => datagram.toString('hex'));
}

// Calls `send` with the port of a TCP server, and returns the bytes received until the connection is closed.
async function captureTcp(send) {
  const server = net.createServer();
  try {
    server.listen(0, LOOPBACK);
    await once(server, 'listening');
    const received = new Promise((resolve, reject) => {
      server.once('connection', (connection) => {
        const parts = [];
        connection.on('data', (part) => parts.push(part));
        connection.on('end', () => resolve(Buffer.concat(parts)));
        connection.on('error', reject);
      });
    });
    await send(server.address().port);
    return (await received).toString('hex');
  } finally {
    server.close();
  }
}

// Number of tracked calls that have not called back yet.
let unfinished = 0;

// Functions of Node.js that end in the background.
const TRACKED = [[zlib, 'deflate', 'gzip', 'inflate', 'gunzip'], [crypto, 'randomBytes'], [dgram.Socket.prototype, 'send']];

// Counts the unfinished calls of these functions, for a library that does not say when it is done. To be called before
// the library is loaded.
function track() {
  for (const [module, ...names] of TRACKED) {
    for (const name of names) {
      const original = module[name];
      module[name] = function tracked(...given) {
        // Without a callback, send works in the background, and the others do not.
        if (typeof given.at(-1) !== 'function' && name !== 'send') return original.apply(this, given);
        const done = typeof given.at(-1) === 'function' ? given.pop() : () => {};
        unfinished += 1;
        return original.call(this, ...given, (...results) => {
          unfinished -= 1;
          done.apply(this, results);
        });
      };
    }
  }
}

// Returns when no tracked call is unfinished.
async function idle() {
  do {
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  } while (unfinished > 0);
}

// Returns the text of the exception that `call` throws, or that nothing catches until the tracked calls have ended.
// Returns undefined if there is none.
async function crashOf(call) {
  let crash;
  const note = (error) => { crash = String(error); };
  process.once('uncaughtException', note);
  try {
    call();
  } catch (error) {
    note(error);
  }
  await idle();
  process.removeListener('uncaughtException', note);
  return crash;
}

// Makes a message for an answer from the members that a library has decoded.
function messageOf(decoded) {
  const message = { fields: {} };
  for (const [name, value] of Object.entries(decoded)) {
    if (MEMBERS.includes(name)) message[name] = value;
    else message.fields[name.replace(/^_/, '')] = value;
  }
  return message;
}

async function answer(request, commands) {
  try {
    const command = commands[request.do];
    if (!command) throw new Unsupported(`the library does not ${request.do}`);
    return await command(request);
  } catch (error) {
    if (error instanceof Unsupported) return { unsupported: error.message };
    if (error instanceof Refused) return { error: { text: error.message } };
    throw error;
  }
}

// Answers the requests on standard input until it ends. `commands` maps the requests that the library supports to
// functions from a request to the members of its answer.
async function serve(hello, commands) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const reply = request.do === 'hello' ? hello : { id: request.id, ...(await answer(request, commands)) };
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}

module.exports = {
  CHUNK_HEADER,
  LOOPBACK,
  Refused,
  Unsupported,
  captureTcp,
  captureUdp,
  checkNumbers,
  crashOf,
  idle,
  messageOf,
  serve,
  track,
};
