// Package adapter is the adapter of the subject protocol (../../../PROTOCOL.md) for both versions of go-gelf.
//
// It uses the UDP Reader and the writers like any program, over sockets on the loopback.
package adapter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

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

type object = subject.Object

// Serve answers the requests on standard input.
func Serve(version Version) {
	sends := []string{"udp"}
	commands := map[string]func(subject.Request) object{
		"receive udp": func(asked subject.Request) object { return receiveDatagrams(asked.Steps) },
		"send udp":    version.sendDatagrams,
	}
	if version.NewTCPWriter != nil {
		sends = append(sends, "tcp")
		commands["send tcp"] = version.sendStream
	}
	can := []string{"datagrams", "send"}
	if !version.Expires {
		can = append(can, "clock")
	}
	subject.Serve(object{
		"name":     version.Name,
		"version":  subject.VersionOf(library),
		"language": "Go",
		"can":      can,
		"sends":    sends,
		"notes":    "Zero values of its Message (level 0 equals a missing level) are omitted from messages.",
	}, commands)
}

// heard holds the results of a receiver.
type heard struct {
	messages []object
	errors   []object
	pending  int
	crashed  string
}

// catch, deferred, records the text of a panic that would have ended the program.
func (h *heard) catch() {
	if reason := recover(); reason != nil {
		h.crashed = fmt.Sprint(reason)
	}
}

func (h *heard) refused(err error) {
	h.errors = append(h.errors, object{"text": err.Error()})
}

// delivered adds a message as the library returns it.
func (h *heard) delivered(from *gelf.Message) {
	// With neither a message nor an error, this panics, like any caller.
	told := object{"short_message": from.Short}
	if from.Version != "" {
		told["version"] = from.Version
	}
	if from.Host != "" {
		told["host"] = from.Host
	}
	if from.Full != "" {
		told["full_message"] = from.Full
	}
	if from.TimeUnix != 0 {
		told["timestamp"] = from.TimeUnix
	}
	if from.Level != 0 {
		told["level"] = from.Level
	}
	fields := object{}
	if from.Facility != "" {
		fields["facility"] = from.Facility
	}
	for name, value := range from.Extra {
		if number, ok := value.(float64); ok && number == math.Trunc(number) {
			// encoding/json would shorten it to the digits that distinguish it from the next float64.
			value = json.Number(strconv.FormatFloat(number, 'f', 0, 64))
		}
		fields[strings.TrimPrefix(name, "_")] = value
	}
	told["fields"] = fields
	h.messages = append(h.messages, told)
}

func (h *heard) answer() object {
	answer := object{"messages": append([]object{}, h.messages...), "errors": append([]object{}, h.errors...), "pending": h.pending}
	if h.crashed != "" {
		answer["crashed"] = h.crashed
	}
	return answer
}

// Two sentinels follow the datagrams of a request. A Reader that waits for chunks gives up at the first; it always
// delivers the second, and has then read everything.
const (
	firstSentinel  = "the first sentinel of the adapter"
	secondSentinel = "the second sentinel of the adapter"
)

// largestDatagram is the maximum size of a UDP datagram over IPv4.
const largestDatagram = 65507

func receiveDatagrams(steps []subject.Step) object {
	reader, err := gelf.NewReader("127.0.0.1:0")
	subject.Must(err)
	result := make(chan *heard, 1)
	go func() { result <- read(reader) }()

	senders := map[string]net.Conn{}
	send := func(from string, datagram []byte) *heard {
		if senders[from] == nil {
			senders[from], err = net.Dial("udp", reader.Addr())
			subject.Must(err)
		}
		_, err := senders[from].Write(datagram)
		subject.Must(err)
		return awaitRead(reader.Addr(), result)
	}
	defer func() {
		for _, sender := range senders {
			sender.Close()
		}
	}()
	for _, step := range steps {
		if step.Hex == nil {
			continue
		}
		datagram := subject.BytesOf(*step.Hex)
		if len(datagram) > largestDatagram {
			return object{"unsupported": fmt.Sprintf("a datagram of %d bytes", len(datagram))}
		}
		if ended := send("from "+step.From, datagram); ended != nil {
			return ended.answer()
		}
	}
	for _, text := range []string{firstSentinel, secondSentinel} {
		sentinel, err := json.Marshal(object{"short_message": text})
		subject.Must(err)
		if ended := send("adapter", sentinel); ended != nil {
			return ended.answer()
		}
	}
	return (<-result).answer()
}

// read calls ReadMessage until it returns a sentinel, or panics.
func read(reader *gelf.Reader) (all *heard) {
	all = &heard{}
	defer all.catch()
	wasError := false
	for {
		message, err := reader.ReadMessage()
		switch {
		case err != nil:
			all.refused(err)
		case message != nil && message.Short == firstSentinel:
			return all
		case message != nil && message.Short == secondSentinel:
			// The result before it belongs to the first sentinel, not to the request.
			if wasError {
				all.errors = all.errors[:len(all.errors)-1]
			} else {
				all.messages = all.messages[:len(all.messages)-1]
			}
			all.pending = 1
			return all
		default:
			all.delivered(message)
		}
		wasError = err != nil
	}
}

// awaitRead waits until the Reader's socket is empty, so that no datagram of a long request is lost. It returns the
// results if the Reader has ended.
func awaitRead(address string, result chan *heard) *heard {
	_, port, err := net.SplitHostPort(address)
	subject.Must(err)
	var number int
	fmt.Sscan(port, &number)
	local := fmt.Sprintf(":%04X", number)
	for {
		select {
		case ended := <-result:
			result <- ended
			return ended
		default:
		}
		table, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			time.Sleep(time.Millisecond) // Without this file, wait briefly.
			return nil
		}
		waiting := false
		for _, line := range bytes.Split(table, []byte("\n")) {
			if columns := strings.Fields(string(line)); len(columns) > 4 && strings.HasSuffix(columns[1], local) {
				waiting = waiting || !strings.HasSuffix(columns[4], ":00000000")
			}
		}
		if !waiting {
			return nil
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// toSend converts a request to the library's message, or returns the reason why it cannot.
func toSend(asked subject.Message) (*gelf.Message, string) {
	sent := &gelf.Message{
		Version: "1.1",
		Host:    asked.Host,
		Short:   asked.ShortMessage,
		Full:    asked.FullMessage,
		Extra:   object{},
	}
	if asked.Timestamp != "" {
		seconds, err := asked.Timestamp.Float64()
		if err != nil {
			return nil, "TimeUnix is a float64"
		}
		sent.TimeUnix = seconds
	}
	if asked.Level != "" {
		level, err := asked.Level.Int64()
		if err != nil || int64(int32(level)) != level {
			return nil, "Level is an int32"
		}
		sent.Level = int32(level)
	}
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

func (version Version) sendDatagrams(asked subject.Request) object {
	if asked.DatagramSize != gelf.ChunkSize {
		return subject.Unsupported(fmt.Sprintf("ChunkSize is a constant, %d", gelf.ChunkSize))
	}
	sent, unsupported := toSend(asked.Message)
	if unsupported != "" {
		return subject.Unsupported(unsupported)
	}
	return subject.CaptureUDP(func(address string) error {
		writer, err := version.NewUDPWriter(address, compressions[asked.Compression])
		subject.Must(err)
		defer writer.Close()
		return writer.WriteMessage(sent)
	})
}

func (version Version) sendStream(asked subject.Request) object {
	if asked.Compression != "none" {
		return subject.Unsupported("TCPWriter has no compression")
	}
	sent, unsupported := toSend(asked.Message)
	if unsupported != "" {
		return subject.Unsupported(unsupported)
	}
	return subject.CaptureTCP(func(address string) error {
		writer, err := version.NewTCPWriter(address)
		subject.Must(err)
		defer writer.Close()
		return writer.WriteMessage(sent)
	})
}
