'use strict';

// Adapter of the subject protocol for pino-gelf, a program that sends the lines of pino.

const net = require('net');

const {
  CHUNK_HEADER, LOOPBACK, Unsupported, captureTcp, captureUdp, checkNumbers, idle, serve, track,
} = require('../../adapters/node/gelf-subject');

// The library does not say when it is done, and keeps its connection open.
track();
const { connect } = net;
let connection;
net.connect = (options) => { connection = connect(options); return connection; };

const pipeline = require('pino-gelf/lib/pipeline');
const { version } = require('pino-gelf/package.json');

const HELLO = {
  name: 'pino-gelf',
  version,
  language: 'JavaScript',
  can: ['send'],
  sends: ['udp', 'tcp'],
  fixed: ['full_message'],
  notes: 'Hands its pipeline an object of pino, which always has a level, here 6, and a time. full_message is the text.',
};
// The levels of pino for the severities that the library sends.
const LEVELS = { 2: 60, 3: 50, 4: 40, 6: 30, 7: 20 };

async function send({ compression, datagram_size: size = 1420, message, transport }) {
  checkNumbers(message);
  const { host: hostname, short_message: msg, timestamp, level = 6, fields } = message;
  if (!LEVELS[level]) throw new Unsupported(`no level of pino for the severity ${level}`);
  if (compression !== (transport === 'udp' ? 'zlib' : 'none')) throw new Unsupported('zlib on UDP, none on TCP');
  const options = {
    host: LOOPBACK, protocol: transport, maxChunkSize: size - CHUNK_HEADER, customKeys: [], reconnectionLimit: 0,
  };
  const time = timestamp === undefined ? Date.now() : timestamp * 1000;
  const log = async (port) => {
    pipeline({ ...options, port }).write({ value: { level: LEVELS[level], time, hostname, ...fields, msg } });
    await idle();
  };
  if (transport === 'udp') return { datagrams: await captureUdp(log) };
  return { stream: await captureTcp(async (port) => { await log(port); connection.end(); }) };
}

serve(HELLO, { send });
