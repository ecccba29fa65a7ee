'use strict';

// graygelf's server, which prints the received messages as observed lines (PROTOCOL.md). Its argument is HOST:PORT.

const { messageOf } = require('../../adapters/node/gelf-subject');
const server = require('graygelf/server');

const [host, port] = process.argv[2].split(':');
server()
  .on('message', (message) => console.log(JSON.stringify(messageOf(message))))
  .on('error', (error) => console.error(String(error)))
  .listen(Number(port), host);
