// Adapter of the subject protocol (../../PROTOCOL.md) for golf.
package main

import (
	"fmt"
	"time"

	subject "gelf-subject"
	"github.com/aphistic/golf"
)

// toSend returns the library's message, or the reason why it cannot hold the asked one.
func toSend(logger *golf.Logger, asked subject.Message) (*golf.Message, string) {
	message := logger.NewMessage()
	message.Hostname, message.ShortMessage, message.FullMessage = asked.Host, asked.ShortMessage, asked.FullMessage
	message.Level = golf.LEVEL_INFO
	if level, err := asked.Level.Int64(); err == nil {
		message.Level = int(level)
	}
	if asked.Timestamp != "" {
		nanoseconds, exact := subject.Nanoseconds(asked.Timestamp)
		if !exact {
			return nil, "the timestamp is written in nanoseconds"
		}
		at := time.Unix(0, nanoseconds)
		message.Timestamp = &at
	}
	message.Attrs = asked.Fields
	return message, ""
}

var compressions = map[string]int{"none": golf.COMP_NONE, "gzip": golf.COMP_GZIP, "zlib": golf.COMP_ZLIB}

func send(asked subject.Request) subject.Object {
	configuration := golf.ClientConfig{ChunkSize: asked.DatagramSize, Compression: compressions[asked.Compression]}
	client, err := golf.NewClientWithConfig(configuration)
	subject.Must(err)
	logger, err := client.NewLogger()
	subject.Must(err)
	message, unsupported := toSend(logger, asked.Message)
	if unsupported != "" {
		return subject.Unsupported(unsupported)
	}
	return subject.Capture(asked, func(address string) error {
		subject.Must(client.Dial(fmt.Sprintf("%s://%s", asked.Transport, address)))
		subject.Must(client.QueueMsg(message))
		return client.Close()
	})
}

func main() {
	subject.Serve(subject.Object{
		"name":    "golf",
		"version": subject.VersionOf("github.com/aphistic/golf"),
		"notes":   "Closes the client after each message, because it sends in the background. A message always has a level; here 6.",
	}, map[string]subject.Command{"send udp": send, "send tcp": send})
}
