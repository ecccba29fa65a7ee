// Package adapter is the adapter of the subject protocol (../../../PROTOCOL.md) for both versions of go-gelf.
//
// It uses the UDP Reader and the writers like any program, over sockets on the loopback.
package adapter

import (
	"fmt"
	"strings"

	subject "gelf-subject"

	"gopkg.in/Graylog2/go-gelf.v2/gelf"
)

// library is the module path in go.mod. The adapter of v1 replaces this module.
const library = "gopkg.in/Graylog2/go-gelf.v2"

// Writer is a writer of the library.
type Writer interface {
	WriteMessage(*gelf.Message) error
	Close() error
}

// Version holds the differences between the versions of the library.
type Version struct {
	// Name of the subject.
	Name string
	// NewUDPWriter creates a UDP writer.
	NewUDPWriter func(address string, compression gelf.CompressType) (Writer, error)
	// NewTCPWriter creates a TCP writer; nil if the library has none.
	NewTCPWriter func(address string) (Writer, error)
	// Expires tells that its Reader drops incomplete messages after a time. The other Readers have no timeout, so the
	// times of steps make no difference.
	Expires bool
}

// Serve answers the requests on standard input.
func Serve(version Version) {
	sends := []string{"udp"}
	commands := map[string]func(subject.Request) subject.Object{
		"receive udp": receive,
		"send udp":    version.send,
	}
	if version.NewTCPWriter != nil {
		sends = append(sends, "tcp")
		commands["send tcp"] = version.send
	}
	can := []string{"datagrams", "send"}
	if !version.Expires {
		can = append(can, "clock")
	}
	subject.Serve(subject.Object{
		"name":     version.Name,
		"version":  subject.VersionOf(library),
		"language": "Go",
		"can":      can,
		"sends":    sends,
		"notes":    "Zero values of its Message (level 0 equals a missing level) are omitted from messages.",
	}, commands)
}

func receive(asked subject.Request) subject.Object {
	reader, err := gelf.NewReader("127.0.0.1:0")
	subject.Must(err)
	return subject.ReceiveUDP(asked.Steps, reader.Addr(), func() (subject.Object, error) {
		message, err := reader.ReadMessage()
		if err != nil {
			return nil, err
		}
		// With neither a message nor an error, this panics, like any caller.
		return told(message), nil
	})
}

// told returns a message as the library delivers it.
func told(from *gelf.Message) subject.Object {
	fields := subject.Object{}
	for name, value := range from.Extra {
		fields[strings.TrimPrefix(name, "_")] = subject.Number(value)
	}
	told := subject.Object{"short_message": from.Short, "fields": fields}
	texts := map[string]string{"version": from.Version, "host": from.Host, "full_message": from.Full}
	for name, text := range texts {
		if text != "" {
			told[name] = text
		}
	}
	if from.TimeUnix != 0 {
		told["timestamp"] = from.TimeUnix
	}
	if from.Level != 0 {
		told["level"] = from.Level
	}
	if from.Facility != "" {
		fields["facility"] = from.Facility
	}
	return told
}

// toSend returns the library's message, or the reason why it cannot hold the asked one.
func toSend(asked subject.Message) (*gelf.Message, string) {
	sent := &gelf.Message{Version: "1.1", Host: asked.Host, Short: asked.ShortMessage, Full: asked.FullMessage}
	// An error is a number out of range, or a missing one.
	sent.TimeUnix, _ = asked.Timestamp.Float64()
	level, err := asked.Level.Int64()
	if asked.Level != "" && (err != nil || int64(int32(level)) != level) {
		return nil, "Level is an int32"
	}
	sent.Level, sent.Extra = int32(level), subject.Object{}
	for name, value := range asked.Fields {
		// Callers write the underscore.
		if !strings.HasPrefix(name, "_") {
			name = "_" + name
		}
		sent.Extra[name] = value
	}
	return sent, ""
}

var compressions = map[string]gelf.CompressType{
	"none": gelf.CompressNone, "gzip": gelf.CompressGzip, "zlib": gelf.CompressZlib,
}

func (version Version) send(asked subject.Request) subject.Object {
	sent, unsupported := toSend(asked.Message)
	isUDP := asked.Transport == "udp"
	switch {
	case unsupported != "":
		return subject.Unsupported(unsupported)
	case isUDP && asked.DatagramSize != gelf.ChunkSize:
		return subject.Unsupported(fmt.Sprintf("ChunkSize is a constant, %d", gelf.ChunkSize))
	case !isUDP && asked.Compression != "none":
		return subject.Unsupported("TCPWriter has no compression")
	}
	return subject.Capture(asked, func(address string) error {
		connect := version.NewTCPWriter
		if isUDP {
			connect = func(address string) (Writer, error) {
				return version.NewUDPWriter(address, compressions[asked.Compression])
			}
		}
		writer, err := connect(address)
		subject.Must(err)
		defer writer.Close()
		return writer.WriteMessage(sent)
	})
}
