'use strict';

// Adapter of the subject protocol for gelfling, which only supports a UDP socket.

const gelfling = require('gelfling');
const { version } = require('gelfling/package.json');

const {
  CHUNK_HEADER, LOOPBACK, Refused, Unsupported, captureUdp, checkNumbers, serve,
} = require('../../adapters/node/gelf-subject');

const HELLO = {
  name: 'gelfling',
  version,
  language: 'JavaScript',
  can: ['send'],
  sends: ['udp'],
  notes: 'Uses send with an object, with its default version. It adds the underscore to the names of fields.',
};

async function send({ compression = 'none', datagram_size: size = 1420, message }) {
  if (compression === 'zlib') throw new Unsupported('no zlib, only gzip');
  checkNumbers(message);
  const { fields, ...members } = message;
  // The setting counts only the payload.
  const options = { maxChunkSize: String(size - CHUNK_HEADER), compress: compression === 'gzip' };
  const sendTo = (port) => new Promise((resolve, reject) => {
    const done = (error) => (error ? reject(new Refused(error)) : resolve());
    gelfling(LOOPBACK, port, options).send({ ...fields, ...members }, done);
  });
  return { datagrams: await captureUdp(sendTo) };
}

serve(HELLO, { send });
