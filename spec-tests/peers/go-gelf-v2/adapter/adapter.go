// Package adapter is the adapter of the subject protocol (../../../PROTOCOL.md) for all versions of go-gelf.
//
// It uses the UDP Reader and the writers like any program, over sockets on the loopback.
package adapter

import (
	subject "gelf-subject"

	"gopkg.in/Graylog2/go-gelf.v2/gelf"
)

// library is the module path in go.mod. The adapters of the other versions replace this module.
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
	commands := map[string]subject.Command{"receive udp": receive, "send udp": version.send}
	if version.NewTCPWriter != nil {
		commands["send tcp"] = version.send
	}
	hello := subject.Object{
		"name":    version.Name,
		"version": subject.VersionOf(library),
		"notes":   "Zero values of its Message (level 0 equals a missing level) are omitted from messages.",
	}
	if !version.Expires {
		hello["can"] = []string{"clock"}
	}
	subject.Serve(hello, commands)
}
