# frozen_string_literal: true

# Adapter of the subject protocol for gelf (gelf-rb), which only supports a UDP socket.

require 'gelf'
require_relative '../../adapters/ruby/gelf_subject'

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

# Names are sent unchanged, and the documentation writes them with their underscore.
def underscored(name)
  name.start_with?('_') ? name : "_#{name}"
end

def notify(request, port)
  message = request['message'].reject { |member, _| member == 'fields' }
  request['message'].fetch('fields', {}).each { |name, value| message[underscored(name)] = value }
  size = request.fetch('datagram_size', 1420) - GelfSubject::CHUNK_HEADER
  notifier = GELF::Notifier.new(GelfSubject::LOOPBACK, port, size)
  notifier.level_mapping = (0..7).to_h { |severity| [severity, severity] } if message.key?('level')
  notifier.notify!(message)
end

send_message = lambda do |request|
  raise GelfSubject::Unsupported, 'always zlib' unless request.fetch('compression', 'none') == 'zlib'

  { datagrams: GelfSubject.capture_udp { |port| GelfSubject.refusals { notify(request, port) } } }
end

GelfSubject.serve(HELLO, 'send' => send_message)
