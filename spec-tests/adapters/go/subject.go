// Package subject has the subject protocol of the GELF conformance suite (spec-tests/PROTOCOL.md), for adapters in Go.
//
// An adapter calls Serve with its answer to "hello" and a function for each request that its library supports:
//
//	send := func(asked subject.Request) subject.Object {
//		return subject.CaptureUDP(func(address string) error { return library.Send(address, asked.Message.ShortMessage) })
//	}
//	hello := subject.Object{"name": "library", "version": "1.0"}
//	subject.Serve(hello, map[string]func(subject.Request) subject.Object{"send udp": send})
package subject

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Object is a JSON object.
type Object = map[string]interface{}

// Request is a request. A number of a field is a json.Number, which keeps all its digits.
type Request struct {
	Do           string
	ID           string
	Transport    string
	Compression  string
	DatagramSize int `json:"datagram_size"`
	Payload      string
	Steps        []Step
	Message      Message
}

// Step is a datagram, a piece of a stream, or a point in time.
type Step struct {
	From string
	At   float64
	Hex  *string
	End  bool
}

// Message is a message to send. A missing member is empty.
type Message struct {
	Host         string
	ShortMessage string `json:"short_message"`
	FullMessage  string `json:"full_message"`
	Timestamp    json.Number
	Level        json.Number
	Fields       Object
}

// timeout is the maximum time to wait for bytes that the library has sent.
const timeout = 2 * time.Second

// Command answers a request. Its answer is without the id. If it panics, the library would crash its caller.
type Command = func(Request) Object

// abilities are the words of "can" for the names of commands.
var abilities = [][2]string{
	{"receive udp", "datagrams"}, {"receive payload", "payload"}, {"receive tcp", "stream"}, {"send udp", "send"},
	{"send tcp", "send"}, {"chunk", "chunk"},
}

// Serve answers the requests on standard input until it ends. The names of the commands are those of the requests, with
// the transport: "receive udp", "send tcp", "chunk". They are added to "can" and "sends" of the answer to "hello".
func Serve(hello Object, commands map[string]Command) {
	hello["language"] = "Go"
	can, sends := []string{}, []string{}
	if given, ok := hello["can"].([]string); ok {
		can = given
	}
	for _, pair := range abilities {
		name, ability := pair[0], pair[1]
		if commands[name] == nil {
			continue
		}
		if !slices.Contains(can, ability) {
			can = append(can, ability)
		}
		if transport, ok := strings.CutPrefix(name, "send "); ok {
			sends = append(sends, transport)
		}
	}
	hello["can"], hello["sends"] = can, sends
	requests := json.NewDecoder(os.Stdin)
	requests.UseNumber()
	answers := json.NewEncoder(os.Stdout)
	for {
		asked := Request{Compression: "none", DatagramSize: 1420}
		if err := requests.Decode(&asked); err == io.EOF {
			return
		} else if err != nil {
			fail(err)
		}
		answer := hello
		if asked.Do != "hello" {
			answer = reply(asked, commands)
			answer["id"] = asked.ID
		}
		Must(answers.Encode(answer))
	}
}

func reply(asked Request, commands map[string]Command) (answer Object) {
	name := strings.TrimSpace(asked.Do + " " + asked.Transport)
	command, known := commands[name]
	if !known {
		return Unsupported(name)
	}
	defer func() {
		if reason := recover(); reason != nil {
			answer = Object{"crashed": fmt.Sprint(reason)}
		}
	}()
	return command(asked)
}

// Unsupported returns the answer to a request that the library does not support.
func Unsupported(why string) Object { return Object{"unsupported": why} }

// Refused returns the answer with an error of the library.
func Refused(err error) Object { return Object{"error": Object{"text": err.Error()}} }

// fail ends the adapter after an error that is not the library's.
func fail(err error) {
	fmt.Fprintln(os.Stderr, "adapter:", err)
	os.Exit(1)
}

// Must ends the adapter if there is an error.
func Must(err error) {
	if err != nil {
		fail(err)
	}
}

// BytesOf returns the bytes of a hexadecimal text.
func BytesOf(text string) []byte {
	decoded, err := hex.DecodeString(text)
	Must(err)
	return decoded
}

// VersionOf returns the version of a module, or of the module that replaces it.
func VersionOf(path string) string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == path {
				if module.Replace != nil {
					module = module.Replace
				}
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "unknown"
}

// Next returns the next message that a receiver delivers, or its error. Like any caller, it may panic.
type Next func() (message Object, err error)

// Two sentinels follow the datagrams of a request. A receiver that waits for chunks may give up at the first; it always
// delivers the second, and has then read everything.
const (
	firstSentinel  = "the first sentinel of the adapter"
	secondSentinel = "the second sentinel of the adapter"
)

// largestDatagram is the maximum size of a UDP datagram over IPv4.
const largestDatagram = 65507

// heard holds the results of a receiver.
type heard struct {
	messages, errors []Object
	pending          int
	crashed          string
}

func (h *heard) answer() Object {
	answer := Object{"messages": append([]Object{}, h.messages...), "errors": append([]Object{}, h.errors...), "pending": h.pending}
	if h.crashed != "" {
		answer["crashed"] = h.crashed
	}
	return answer
}

// ReceiveUDP sends the datagrams of the steps to a receiver at this address of the loopback, and returns the answer with
// what it delivers.
func ReceiveUDP(steps []Step, address string, next Next) Object {
	result := make(chan *heard, 1)
	go func() { result <- listen(next) }()
	senders := map[string]net.Conn{}
	defer func() {
		for _, sender := range senders {
			sender.Close()
		}
	}()
	send := func(from string, datagram []byte) *heard {
		if senders[from] == nil {
			sender, err := net.Dial("udp", address)
			Must(err)
			senders[from] = sender
		}
		_, err := senders[from].Write(datagram)
		Must(err)
		return awaitRead(address, result)
	}
	for _, step := range steps {
		if step.Hex == nil {
			continue
		}
		datagram := BytesOf(*step.Hex)
		if len(datagram) > largestDatagram {
			return Unsupported(fmt.Sprintf("a datagram of %d bytes", len(datagram)))
		}
		if ended := send("from "+step.From, datagram); ended != nil {
			return ended.answer()
		}
	}
	for _, text := range []string{firstSentinel, secondSentinel} {
		sentinel, err := json.Marshal(Object{"short_message": text})
		Must(err)
		if ended := send("adapter", sentinel); ended != nil {
			return ended.answer()
		}
	}
	return (<-result).answer()
}

// listen calls next until it returns a sentinel, or panics.
func listen(next Next) (all *heard) {
	all = &heard{}
	defer func() {
		// This would have ended the program.
		if reason := recover(); reason != nil {
			all.crashed = fmt.Sprint(reason)
		}
	}()
	wasError := false
	for {
		message, err := next()
		switch {
		case err != nil:
			all.errors = append(all.errors, Object{"text": err.Error()})
		case message["short_message"] == firstSentinel:
			return all
		case message["short_message"] == secondSentinel:
			// The result before it belongs to the first sentinel, not to the request.
			if wasError {
				all.errors = all.errors[:len(all.errors)-1]
			} else {
				all.messages = all.messages[:len(all.messages)-1]
			}
			all.pending = 1
			return all
		default:
			all.messages = append(all.messages, message)
		}
		wasError = err != nil
	}
}

// awaitRead waits until the receiver's socket is empty, so that no datagram of a long request is lost. It returns the
// results if the receiver has ended.
func awaitRead(address string, result chan *heard) *heard {
	_, port, err := net.SplitHostPort(address)
	Must(err)
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

// Number returns a float64 as the JSON number with all its digits. encoding/json would shorten a large integer to the
// digits that distinguish it from the next float64. Other values are returned as they are.
func Number(value interface{}) interface{} {
	if number, ok := value.(float64); ok && number == math.Trunc(number) {
		return json.Number(strconv.FormatFloat(number, 'f', 0, 64))
	}
	return value
}

// MessageOf returns a message of an answer, of the members and the additional fields that the library has decoded. A
// member with an underscore is a field, too. A member that is zero is left out, except for short_message.
func MessageOf(members, fields Object) Object {
	message, named := Object{}, Object{}
	for name, value := range fields {
		named[strings.TrimPrefix(name, "_")] = Number(value)
	}
	for name, value := range members {
		field, isField := strings.CutPrefix(name, "_")
		switch {
		case name != "short_message" && reflect.ValueOf(value).IsZero():
		case isField:
			named[field] = value
		default:
			message[name] = value
		}
	}
	message["fields"] = named
	return message
}

// Nanoseconds returns a timestamp in nanoseconds since 1970, and whether an int64 holds it exactly.
func Nanoseconds(seconds json.Number) (int64, bool) {
	exact, ok := new(big.Rat).SetString(seconds.String())
	if !ok {
		return 0, false
	}
	exact.Mul(exact, big.NewRat(1e9, 1))
	return exact.Num().Int64(), exact.IsInt() && exact.Num().IsInt64()
}

// Capture calls CaptureUDP or CaptureTCP, as the request asks.
func Capture(asked Request, send func(address string) error) Object {
	if asked.Transport == "tcp" {
		return CaptureTCP(send)
	}
	return CaptureUDP(send)
}

// CaptureUDP calls send with the address of a UDP socket. It returns the answer with the datagrams that were sent before
// send returned.
func CaptureUDP(send func(address string) error) Object {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	Must(err)
	defer socket.Close()
	Must(socket.SetReadBuffer(4 << 20)) // Room for 128 chunks.
	address := socket.LocalAddr().String()
	if err := send(address); err != nil {
		return Refused(err)
	}
	marker, err := net.Dial("udp", address)
	Must(err)
	defer marker.Close()
	end := make([]byte, 16)
	_, err = rand.Read(end)
	Must(err)
	_, err = marker.Write(end)
	Must(err)
	Must(socket.SetReadDeadline(time.Now().Add(timeout)))
	datagrams := []string{}
	for buffer := make([]byte, 1<<16); ; {
		length, err := socket.Read(buffer)
		Must(err)
		// The loopback keeps the order, so this is the last datagram.
		if bytes.Equal(buffer[:length], end) {
			return Object{"datagrams": datagrams}
		}
		datagrams = append(datagrams, hex.EncodeToString(buffer[:length]))
	}
}

// CaptureTCP calls send with the address of a listener. It returns the answer with the bytes of the connection that send
// makes and closes.
func CaptureTCP(send func(address string) error) Object {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Must(err)
	defer listener.Close()
	stream := make(chan []byte, 1)
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return // Nothing connected before send failed.
		}
		defer connection.Close()
		all, err := io.ReadAll(connection)
		Must(err)
		stream <- all
	}()
	if err := send(listener.Addr().String()); err != nil {
		return Refused(err)
	}
	select {
	case all := <-stream:
		return Object{"stream": hex.EncodeToString(all)}
	case <-time.After(timeout):
		fail(fmt.Errorf("the library has not closed its connection"))
		return nil
	}
}
