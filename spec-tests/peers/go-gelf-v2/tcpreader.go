package main

import (
	"net"
	"strings"
	"time"
	_ "unsafe" // For go:linkname.

	"gopkg.in/Graylog2/go-gelf.v2/gelf"
)

// The library exports the type TCPReader, but nothing that makes one or reads from one: these are what its own tests
// use. That they have no body needs a file of assembly beside this one, be it empty.

//go:linkname newTCPReader gopkg.in/Graylog2/go-gelf.v2/gelf.newTCPReader
func newTCPReader(address string) (*gelf.TCPReader, chan string, chan string, error)

//go:linkname readMessage gopkg.in/Graylog2/go-gelf.v2/gelf.(*TCPReader).readMessage
func readMessage(*gelf.TCPReader) (*gelf.Message, error)

//go:linkname addressOf gopkg.in/Graylog2/go-gelf.v2/gelf.(*TCPReader).addr
func addressOf(*gelf.TCPReader) string

func receiveStream(steps []step) object {
	reader, closeSignal, _, err := newTCPReader("127.0.0.1:0")
	must(err)
	// It stops a second later; until it is told to, it spins.
	defer func() { closeSignal <- "stop" }()

	connection, err := net.Dial("tcp", addressOf(reader))
	must(err)
	frames := 0
	for _, step := range steps {
		if step.Hex != nil {
			frames += strings.Count(string(bytesOf(*step.Hex)), "\x00")
		}
	}
	go func() {
		for _, step := range steps {
			if step.Hex != nil {
				_, err := connection.Write(bytesOf(*step.Hex))
				must(err)
			}
		}
		must(connection.Close())
	}()

	// What is read: a message or an error, one for each null byte, or a panic, which is the end.
	read := make(chan func(*heard))
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			tell := readOne(reader)
			select {
			case read <- tell:
			case <-ended:
				return
			}
		}
	}()
	all := &heard{}
	for all.crashed == "" {
		// Nothing tells that no more will come. Where no more is due, little time is given to what may come all the same.
		patience := 3 * time.Second
		if frames <= 0 {
			patience = 10 * time.Millisecond
		}
		select {
		case tell := <-read:
			tell(all)
			frames--
		case <-time.After(patience):
			return all.answer()
		}
	}
	return all.answer()
}

func readOne(reader *gelf.TCPReader) (tell func(*heard)) {
	defer func() {
		if reason := recover(); reason != nil {
			tell = func(all *heard) { all.panicked(reason) }
		}
	}()
	message, err := readMessage(reader)
	if err != nil {
		return func(all *heard) { all.refused(err) }
	}
	return func(all *heard) { all.delivered(message) }
}
