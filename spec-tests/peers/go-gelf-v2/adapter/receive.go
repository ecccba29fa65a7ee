package adapter

import (
	subject "gelf-subject"

	"gopkg.in/Graylog2/go-gelf.v2/gelf"
)

func receive(asked subject.Request) subject.Object {
	reader, err := gelf.NewReader("127.0.0.1:0")
	subject.Must(err)
	return subject.ReceiveUDP(asked.Steps, reader.Addr(), func() (subject.Object, error) {
		message, err := reader.ReadMessage()
		if err != nil {
			return nil, err
		}
		// With neither a message nor an error, this panics, like any caller.
		return subject.MessageOf(subject.Object{
			"version": message.Version, "host": message.Host, "short_message": message.Short, "full_message": message.Full,
			"timestamp": message.TimeUnix, "level": message.Level, "_facility": message.Facility,
		}, message.Extra), nil
	})
}
