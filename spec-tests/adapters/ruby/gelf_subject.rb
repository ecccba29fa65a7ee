# frozen_string_literal: true

# The subject protocol of the GELF conformance suite (spec-tests/PROTOCOL.md), for adapters in Ruby.
#
# An adapter calls `serve` with its answer to "hello" and a function for each request that its library supports:
#
#   send = lambda do |request|
#     { datagrams: GelfSubject.capture_udp { |port| Library.send('127.0.0.1', port, request['message']) } }
#   end
#   GelfSubject.serve({ name: 'library', version: '1.0', language: 'Ruby', can: ['send'], sends: ['udp'] }, 'send' => send)

require 'json'
require 'securerandom'
require 'socket'

module GelfSubject
  LOOPBACK = '127.0.0.1'
  CHUNK_HEADER = 12

  # Seconds until a capture ends whose library sends nothing.
  SECONDS = 2

  # A request that the library does not support.
  class Unsupported < StandardError; end

  # An error of the library.
  class Refused < StandardError; end

  # Calls the library in the block. An exception is its error.
  def self.refusals
    yield
  rescue StandardError => e
    raise Refused, "#{e.class}: #{e.message}"[0, 200]
  end

  # Calls the block with the port of a UDP socket, and returns the datagrams that it sent before it returned.
  def self.capture_udp
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

  def self.answer(request, commands)
    command = commands.fetch(request['do']) { raise Unsupported, "the library does not #{request['do']}" }
    command.call(request)
  rescue Unsupported => e
    { unsupported: e.message }
  rescue Refused => e
    { error: { text: e.message } }
  end

  # Answers the requests on standard input until it ends. `commands` maps the requests that the library supports to
  # functions from a request to the members of its answer.
  def self.serve(hello, commands)
    $stdout.sync = true
    $stdin.each_line do |line|
      request = JSON.parse(line, allow_nan: true)
      puts JSON.generate(request['do'] == 'hello' ? hello : { id: request['id'], **answer(request, commands) })
    end
  end
end
