'use strict';

// Adapter of the subject protocol for gelf-pro, which only supports sockets.

const crypto = require('crypto');
const dgram = require('dgram');
const { once } = require('events');
const net = require('net');
const readline = require('readline');

const log = require('gelf-pro');
const { version } = require('gelf-pro/package.json');

const LOOPBACK = '127.0.0.1';

// Maximum size of its datagrams over IPv4, headers included; no option changes it.
const DATAGRAM_SIZE = 1400;

const HELLO = {
  name: 'gelf-pro',
  version,
  language: 'JavaScript',
  can: ['send'],
  sends: ['udp', 'tcp'],
  notes:
    'Asked through message, or info where there is no level, with host, timestamp and full_message in its extra. On '
    + `UDP it always compresses with zlib and cuts at ${DATAGRAM_SIZE} bytes, so it is asked for nothing else there.`,
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

// Calls `send` with the port of a TCP server, and returns the bytes received until the connection is closed.
async function streamOf(send) {
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

function logMessage({ transport, message }, port) {
  const { short_message: text, level, fields, ...extra } = message;
  // The library caches one adapter with its port.
  log.adapter = null;
  log.setConfig({ adapterName: transport, adapterOptions: { host: LOOPBACK, port, protocol: 'udp4', family: 4 } });
  return new Promise((resolve, reject) => {
    try {
      const done = (error) => (error ? reject(new Refused(error)) : resolve());
      const all = { ...fields, ...extra };
      if (level === undefined) log.info(text, all, done);
      else log.message(text, level, all, done);
    } catch (error) {
      reject(new Refused(error));
    }
  });
}

async function send(request) {
  const { transport, compression = 'none', datagram_size: datagramSize = 1420 } = request;
  checkNumbers(request.message);
  if (transport === 'tcp') {
    if (compression !== 'none') throw new Unsupported('no compression on TCP');
    return { stream: await streamOf((port) => logMessage(request, port)) };
  }
  if (compression !== 'zlib') throw new Unsupported('always zlib on UDP');
  if (datagramSize < DATAGRAM_SIZE) throw new Unsupported(`always datagrams of up to ${DATAGRAM_SIZE} bytes`);
  return { datagrams: await datagramsOf((port) => logMessage(request, port)) };
}

async function answer(request) {
  try {
    if (request.do === 'send') return await send(request);
    throw new Unsupported('gelf-pro only sends');
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
