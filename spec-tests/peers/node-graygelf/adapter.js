'use strict';

// Adapter of the subject protocol for graygelf: its server, and its client, which only supports a UDP socket.

const {
  CHUNK_HEADER, LOOPBACK, Unsupported, captureUdp, checkNumbers, crashOf, idle, messageOf, serve, track,
} = require('../../adapters/node/gelf-subject');

// The library does not say when it is done.
track();

const graygelf = require('graygelf');
const { version } = require('graygelf/package.json');
const server = require('graygelf/server');

const HELLO = {
  name: 'graygelf',
  version,
  language: 'JavaScript',
  can: ['datagrams', 'send'],
  sends: ['udp'],
  fixed: ['timestamp'],
  notes: 'Datagrams are handed to the method to which the server\'s socket hands them. Messages are sent with the '
    + 'functions of the levels, info if there is no level, and with alwaysCompress.',
};
const LEVELS = ['emerg', 'alert', 'crit', 'error', 'warn', 'notice', 'info', 'debug'];

async function receive({ steps, transport }) {
  if (transport !== 'udp') throw new Unsupported('only UDP');
  const answer = { messages: [], errors: [] };
  const receiver = server().on('message', (message) => answer.messages.push(messageOf(message)));
  receiver.on('error', (error) => answer.errors.push({ text: String(error) }));
  for (const { from, hex = '' } of steps) {
    const call = () => receiver._message(Buffer.from(hex, 'hex'), { address: from });
    if (!answer.crashed) answer.crashed = await crashOf(call);
  }
  return answer;
}

async function send({ compression, datagram_size: size = 1420, message }) {
  checkNumbers(message);
  if (!['gzip', 'zlib'].includes(compression)) throw new Unsupported('compresses what is longer than a chunk');
  const { host, short_message: text, full_message: full, level = 6, fields } = message;
  if (!LEVELS[level]) throw new Unsupported(`no function for the level ${level}`);
  const options = { host: LOOPBACK, chunkSize: size - CHUNK_HEADER, compressType: compression, alwaysCompress: true };
  const datagrams = await captureUdp(async (port) => {
    const log = graygelf({ port, ...options });
    log.hostname = host;
    log[LEVELS[level]].a(text, full, fields);
    await idle();
    log._udp.close();
  });
  return { datagrams };
}

serve(HELLO, { receive, send });
