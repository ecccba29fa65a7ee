package adapter

import (
	"fmt"
	"strings"

	subject "gelf-subject"

	"gopkg.in/Graylog2/go-gelf.v2/gelf"
)

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
		sent.Extra["_"+strings.TrimPrefix(name, "_")] = value
	}
	return sent, ""
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
		writer, err := version.connect(asked, address)
		subject.Must(err)
		defer writer.Close()
		return writer.WriteMessage(sent)
	})
}

func (version Version) connect(asked subject.Request, address string) (Writer, error) {
	compressions := map[string]gelf.CompressType{
		"none": gelf.CompressNone, "gzip": gelf.CompressGzip, "zlib": gelf.CompressZlib,
	}
	if asked.Transport == "tcp" {
		return version.NewTCPWriter(address)
	}
	return version.NewUDPWriter(address, compressions[asked.Compression])
}
