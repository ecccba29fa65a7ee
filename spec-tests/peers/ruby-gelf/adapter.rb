# frozen_string_literal: true

# Adapter of the subject protocol for gelf (gelf-rb), which only supports a UDP socket.

require 'json'
require 'securerandom'
require 'socket'
require 'gelf'

LOOPBACK = '127.0.0.1'
SECONDS = 2
CHUNK_HEADER = 12

HELLO = {
  name: 'gelf (gelf-rb)',
  version: Gem::Specification.find_by_name('gelf').version.to_s,
  language: 'Ruby',
  can: ['send'],
  sends: ['udp'],
  notes: 'Uses notify! with a hash, with field names that have the underscore, as users write them, and an identity ' \
         "level_mapping if there is a level: its own mappings start from the Logger's levels. It always compresses with " \
         'zlib, so other compressions are unsupported. This version has only UDP.'
}.freeze

# A request that the library does not support.
class Unsupported < StandardError; end

# An error of the library.
class Refused < StandardError; end

# Calls the block with the port of a UDP socket, and returns the received datagrams.
def datagrams_of
  receiver = UDPSocket.new
  receiver.setsockopt(Socket::SOL_SOCKET, Socket::SO_RCVBUF, 4 << 20)
  receiver.bind(LOOPBACK, 0)
  port = receiver.addr[1]
  marker = UDPSocket.new
  finish = SecureRandom.random_bytes(16)
  received = []
  reader = Thread.new do
    while receiver.wait_readable(SECONDS) && (datagram = receiver.recv(65_536)) != finish
      received << datagram
    end
  end
  begin
    yield port
  ensure
    # The loopback keeps the order, so this is the last datagram.
    marker.send(finish, 0, LOOPBACK, port)
    reader.join
    [receiver, marker].each(&:close)
  end
  received.map { |datagram| datagram.unpack1('H*') }
end

# Names are sent unchanged, and the documentation writes them with their underscore.
def underscored(name)
  name.start_with?('_') ? name : "_#{name}"
end

def notify(request, port)
  message = request['message'].reject { |member, _| member == 'fields' }
  request['message'].fetch('fields', {}).each { |name, value| message[underscored(name)] = value }
  notifier = GELF::Notifier.new(LOOPBACK, port, request.fetch('datagram_size', 1420) - CHUNK_HEADER)
  notifier.level_mapping = (0..7).to_h { |severity| [severity, severity] } if message.key?('level')
  notifier.notify!(message)
rescue StandardError => e
  raise Refused, "#{e.class}: #{e.message}"[0, 200]
end

def send_message(request)
  raise Unsupported, 'only UDP' unless request['transport'] == 'udp'
  raise Unsupported, 'always zlib' unless request.fetch('compression', 'none') == 'zlib'

  { datagrams: datagrams_of { |port| notify(request, port) } }
end

def answer(request)
  raise Unsupported, 'gelf only sends' unless request['do'] == 'send'

  send_message(request)
rescue Unsupported => e
  { unsupported: e.message }
rescue Refused => e
  { error: { text: e.message } }
end

$stdout.sync = true
$stdin.each_line do |line|
  request = JSON.parse(line, allow_nan: true)
  puts JSON.generate(request['do'] == 'hello' ? HELLO : { id: request['id'], **answer(request) })
end
