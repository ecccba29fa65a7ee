// Package subject has the subject protocol of the GELF conformance suite (spec-tests/PROTOCOL.md), for adapters in Go.
//
// An adapter calls Serve with its answer to "hello" and a function for each request that its library supports:
//
//	send := func(asked subject.Request) subject.Object {
//		return subject.CaptureUDP(func(address string) error { return library.Send(address, asked.Message.ShortMessage) })
//	}
//	hello := subject.Object{"name": "library", "version": "1.0", "can": []string{"send"}, "sends": []string{"udp"}}
//	subject.Serve(hello, map[string]func(subject.Request) subject.Object{"send udp": send})
package subject

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime/debug"
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

// Serve answers the requests on standard input until it ends. The names of the commands are those of the requests, with
// the transport: "receive udp", "send tcp", "chunk". An answer is without the id. A command that panics crashes the
// library's caller.
func Serve(hello Object, commands map[string]func(Request) Object) {
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

func reply(asked Request, commands map[string]func(Request) Object) (answer Object) {
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
