'use strict';

// Adapter of the subject protocol for gelf (gelf-node), which only supports a UDP socket.

const crypto = require('crypto');
const dgram = require('dgram');
const { once } = require('events');
const readline = require('readline');

const Gelf = require('gelf');
const { version } = require('gelf/package.json');

const LOOPBACK = '127.0.0.1';
const CHUNK_HEADER = 12;

const HELLO = {
  name: 'gelf (gelf-node)',
  version,
  language: 'JavaScript',
  can: ['send', 'chunk'],
  sends: ['udp'],
  notes:
    "Asked through the event gelf.log, the names of fields with the underscore that its users write. It always "
    + 'compresses with zlib, so it is asked for nothing else. What it sends in spite of its event error is answered as '
    + 'sent. chunk is its maybeChunkMessage and send.',
};

class Unsupported extends Error {}
class Refused extends Error {}

// A JavaScript number would change a larger integer before the library is called.
function checkNumbers({ fields = {} }) {
  for (const value of Object.values(fields)) {
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      throw new Unsupported("JavaScript's numbers hold integers of 53 bits");
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

// Creates a logger for the request, and calls `use` with it and a callback for its completion.
async function datagramsOfLogger({ datagram_size: datagramSize = 1420 }, use) {
  const chunkSize = datagramSize - CHUNK_HEADER;
  if (chunkSize < 1) throw new Unsupported(`with a chunk size of ${chunkSize} it cuts for ever`);
  let failure;
  const datagrams = await datagramsOf(async (port) => {
    const logger = new Gelf({
      graylogHostname: LOOPBACK,
      graylogPort: port,
      connection: 'wan',
      maxChunkSizeWan: chunkSize,
    });
    logger.on('error', (error) => {
      failure = error;
    });
    failure = (await new Promise((resolve) => use(logger, resolve))) || failure;
    logger.closeSocket();
  });
  // Some messages are sent in spite of an error.
  if (failure && datagrams.length === 0) throw new Refused(failure);
  return datagrams;
}

// Names are sent unchanged, and the documentation writes them with their underscore.
const underscored = (name) => (name.startsWith('_') ? name : `_${name}`);

async function send(request) {
  const { compression = 'none', transport } = request;
  if (transport !== 'udp') throw new Unsupported('only UDP');
  if (compression !== 'zlib') throw new Unsupported('always zlib');
  checkNumbers(request.message);
  const { fields = {}, ...message } = request.message;
  for (const [name, value] of Object.entries(fields)) message[underscored(name)] = value;
  return { datagrams: await datagramsOfLogger(request, (logger, done) => logger.emit('gelf.log', message, done)) };
}

async function chunk(request) {
  const payload = Buffer.from(request.payload, 'hex');
  const cut = (logger, done) => logger.send(logger.maybeChunkMessage(payload), done);
  return { datagrams: await datagramsOfLogger(request, cut) };
}

async function answer(request) {
  try {
    if (request.do === 'send') return await send(request);
    if (request.do === 'chunk') return await chunk(request);
    throw new Unsupported('gelf only sends');
  } catch (error) {
    if (error instanceof Unsupported) return { unsupported: error.message };
    if (error instanceof Refused) return { error: { text: error.message } };
    throw error;
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const reply = request.do === 'hello' ? HELLO : { id: request.id, ...(await answer(request)) };
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}

main();
