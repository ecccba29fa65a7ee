'use strict';

// Adapter of the subject protocol for gelf (gelf-node), which only supports a UDP socket.

const Gelf = require('gelf');
const { version } = require('gelf/package.json');

const {
  CHUNK_HEADER, LOOPBACK, Refused, Unsupported, captureUdp, checkNumbers, serve,
} = require('../../adapters/node/gelf-subject');

const HELLO = {
  name: 'gelf (gelf-node)',
  version,
  language: 'JavaScript',
  can: ['send', 'chunk'],
  sends: ['udp'],
  notes:
    'Uses the event gelf.log, with field names that have the underscore, as users write them. It always compresses '
    + 'with zlib, so other compressions are unsupported. Bytes sent in spite of its event error are reported as '
    + 'sent. The request chunk calls maybeChunkMessage and send.',
};

// Creates a logger for the request, and calls `use` with the logger and with a callback for the end of the sending.
// Returns the sent datagrams.
async function datagramsOfLogger({ datagram_size: datagramSize = 1420 }, use) {
  const chunkSize = datagramSize - CHUNK_HEADER;
  if (chunkSize < 1) throw new Unsupported(`with a chunk size of ${chunkSize} chunking never ends`);
  let failure;
  const datagrams = await captureUdp(async (port) => {
    const options = { connection: 'wan', maxChunkSizeWan: chunkSize };
    const logger = new Gelf({ graylogHostname: LOOPBACK, graylogPort: port, ...options });
    logger.on('error', (error) => { failure = error; });
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

serve(HELLO, { chunk, send });
