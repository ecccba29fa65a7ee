// Package subject is the adapter of the subject protocol (../../../PROTOCOL.md) for both versions of go-gelf.
//
// It uses the UDP Reader and the writers like any program, over sockets on the loopback.
package subject

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

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
}

type object = map[string]interface{}

type request struct {
	Do           string
	ID           string
	Transport    string
	Compression  string
	DatagramSize int `json:"datagram_size"`
	Steps        []step
	Message      message
}

type step struct {
	From string
	Hex  *string
}

type message struct {
	Host         string
	ShortMessage string `json:"short_message"`
	FullMessage  string `json:"full_message"`
	Timestamp    json.Number
	Level        json.Number
	Fields       object
}

// Serve answers the requests on standard input.
func Serve(version Version) {
	requests := json.NewDecoder(os.Stdin)
	requests.UseNumber() // Numbers of fields keep all their digits.
	answers := json.NewEncoder(os.Stdout)
	for {
		asked := request{Compression: "none", DatagramSize: gelf.ChunkSize}
		if err := requests.Decode(&asked); err == io.EOF {
			return
		} else if err != nil {
			fail(err)
		}
		answer := version.reply(asked)
		if asked.Do != "hello" {
			answer["id"] = asked.ID
		}
		if err := answers.Encode(answer); err != nil {
			fail(err)
		}
	}
}

// fail ends the adapter after an error that is not the library's.
func fail(err error) {
	fmt.Fprintln(os.Stderr, "go-gelf:", err)
	os.Exit(1)
}

func must(err error) {
	if err != nil {
		fail(err)
	}
}

func (version Version) reply(asked request) object {
	switch asked.Do + " " + asked.Transport {
	case "hello ":
		return version.hello()
	case "receive udp":
		return receiveDatagrams(asked.Steps)
	case "send udp":
		return version.sendDatagrams(asked)
	case "send tcp":
		if version.NewTCPWriter != nil {
			return version.sendStream(asked)
		}
	}
	return object{"unsupported": strings.TrimSpace(asked.Do + " " + asked.Transport)}
}

func (version Version) hello() object {
	number, sends := "unknown", []string{"udp"}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == library {
				if module.Replace != nil {
					module = module.Replace
				}
				number = strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	if version.NewTCPWriter != nil {
		sends = append(sends, "tcp")
	}
	return object{
		"name":     version.Name,
		"version":  number,
		"language": "Go",
		// The Reader has no timeout, so the time of a step makes no difference.
		"can":   []string{"datagrams", "send", "clock"},
		"sends": sends,
		"notes": "Zero values of its Message (level 0 equals a missing level) are omitted from messages.",
	}
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

func receiveDatagrams(steps []step) object {
	reader, err := gelf.NewReader("127.0.0.1:0")
	must(err)
	result := make(chan *heard, 1)
	go func() { result <- read(reader) }()

	senders := map[string]net.Conn{}
	send := func(from string, datagram []byte) *heard {
		if senders[from] == nil {
			senders[from], err = net.Dial("udp", reader.Addr())
			must(err)
		}
		_, err := senders[from].Write(datagram)
		must(err)
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
		datagram := bytesOf(*step.Hex)
		if len(datagram) > largestDatagram {
			return object{"unsupported": fmt.Sprintf("a datagram of %d bytes", len(datagram))}
		}
		if ended := send("from "+step.From, datagram); ended != nil {
			return ended.answer()
		}
	}
	for _, text := range []string{firstSentinel, secondSentinel} {
		sentinel, err := json.Marshal(object{"short_message": text})
		must(err)
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
	must(err)
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
func toSend(asked message) (*gelf.Message, string) {
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

func (version Version) sendDatagrams(asked request) (answer object) {
	if asked.DatagramSize != gelf.ChunkSize {
		return object{"unsupported": fmt.Sprintf("ChunkSize is a constant, %d", gelf.ChunkSize)}
	}
	compression, known := compressions[asked.Compression]
	if !known {
		return object{"unsupported": "compression " + asked.Compression}
	}
	sent, unsupported := toSend(asked.Message)
	if unsupported != "" {
		return object{"unsupported": unsupported}
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(err)
	defer socket.Close()
	must(socket.SetReadBuffer(4 << 20)) // Room for 128 chunks.
	writer, err := version.NewUDPWriter(socket.LocalAddr().String(), compression)
	must(err)
	defer writer.Close()
	defer crashed(&answer)
	if err := writer.WriteMessage(sent); err != nil {
		return object{"error": object{"text": err.Error()}}
	}
	datagrams := []string{}
	for buffer := make([]byte, 1<<16); ; {
		// WriteMessage has sent everything; the wait is for slow kernels.
		must(socket.SetReadDeadline(time.Now().Add(30 * time.Millisecond)))
		length, err := socket.Read(buffer)
		if err != nil {
			return object{"datagrams": datagrams}
		}
		datagrams = append(datagrams, hex.EncodeToString(buffer[:length]))
	}
}

func (version Version) sendStream(asked request) (answer object) {
	if asked.Compression != "none" {
		return object{"unsupported": "TCPWriter has no compression"}
	}
	sent, unsupported := toSend(asked.Message)
	if unsupported != "" {
		return object{"unsupported": unsupported}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer listener.Close()
	writer, err := version.NewTCPWriter(listener.Addr().String())
	must(err)
	defer writer.Close()
	connection, err := listener.Accept()
	must(err)
	defer connection.Close()
	stream := make(chan []byte, 1)
	go func() {
		all, err := io.ReadAll(connection)
		must(err)
		stream <- all
	}()
	defer crashed(&answer)
	if err := writer.WriteMessage(sent); err != nil {
		return object{"error": object{"text": err.Error()}}
	}
	must(writer.Close())
	return object{"stream": hex.EncodeToString(<-stream)}
}

// crashed, deferred, turns a panic into an answer.
func crashed(answer *object) {
	if reason := recover(); reason != nil {
		*answer = object{"crashed": fmt.Sprint(reason)}
	}
}

func bytesOf(text string) []byte {
	decoded, err := hex.DecodeString(text)
	must(err)
	return decoded
}
