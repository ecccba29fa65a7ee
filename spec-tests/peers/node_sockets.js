'use strict';

// Shared parts of adapters for JavaScript libraries that only support sockets.

const crypto = require('crypto');
const dgram = require('dgram');
const { once } = require('events');
const readline = require('readline');

const LOOPBACK = '127.0.0.1';

class Unsupported extends Error {}
class Refused extends Error {}

// A JavaScript number would change a larger integer before the library is called.
function checkNumbers({ fields = {} }) {
  for (const value of Object.values(fields)) {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      throw new Unsupported("JavaScript numbers hold integers of at most 53 bits");
    }
  }
}

// Calls `send` with the port of a UDP socket, and returns the received datagrams.
async function datagramsOf(send) {
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

async function answer(request, commands) {
  try {
    const command = commands[request.do];
    if (!command) throw new Unsupported('the library only sends');
    return await command(request);
  } catch (error) {
    if (error instanceof Unsupported) return { unsupported: error.message };
    if (error instanceof Refused) return { error: { text: error.message } };
    throw error;
  }
}

// Answers the requests on standard input. `commands` maps the requests that the library supports to functions.
async function serve(hello, commands) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const reply = request.do === 'hello' ? hello : { id: request.id, ...(await answer(request, commands)) };
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}

module.exports = { LOOPBACK, Refused, Unsupported, checkNumbers, datagramsOf, serve };
