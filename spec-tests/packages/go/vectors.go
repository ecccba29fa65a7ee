// Package vectors has test vectors for implementations of GELF, the Graylog Extended Log Format.
//
// The file vectors/README.md describes the members of a vector.
package vectors

import (
	"embed"
	"encoding/hex"
	"encoding/json"
)

// Files has the vectors, one JSON file for each topic, and their README.md and vector.schema.json.
//
//go:embed vectors
var Files embed.FS

// Bytes are the bytes of an input, or of an expected payload.
type Bytes []byte

// UnmarshalJSON reads {"hex": "…"}.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	var value struct{ Hex string }
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	decoded, err := hex.DecodeString(value.Hex)
	*b = decoded
	return err
}

// Vector is an input with the expected results. One of Payload, Datagrams, Stream, Send, Chunk and HTTP is set.
type Vector struct {
	ID, Title, Rule string
	// Demand is take, refuse or free.
	Demand    string
	Payload   Bytes
	Datagrams []Step
	Stream    []Bytes
	// Send is a message to send.
	Send *Send
	// Chunk is a payload to split into datagrams.
	Chunk *Chunk
	// HTTP has the requests to a running receiver.
	HTTP   json.RawMessage
	Limits json.RawMessage
	// Strict is the expected result. Lenient is that of a lenient implementation, or nil if it is the same.
	Strict  Expected
	Lenient *Expected
}

// Step is a datagram, or a point in time at which nothing arrives.
type Step struct {
	// At is in seconds, on a clock that starts at 0.
	At float64
	// From is the name of the sender.
	From     string
	Datagram Bytes
}

// Send is a request to send a message.
type Send struct {
	Transport, Compression string
	DatagramSize           int `json:"datagram_size"`
	Message                Message
}

// Chunk is a request to split a payload into datagrams.
type Chunk struct {
	DatagramSize int `json:"datagram_size"`
	Payload      Bytes
}

// Message is a message. A missing member is nil.
type Message struct {
	Host         *string
	ShortMessage string  `json:"short_message"`
	FullMessage  *string `json:"full_message"`
	// Timestamp is a decimal number.
	Timestamp *string
	// Level is an integer, as a float64 because receivers decode it from numbers such as 3.0.
	Level *float64
	// Fields has a name without the underscore and a value for each field. The value is a string, a boolean,
	// or {"number": "…"}.
	Fields [][2]any
}

// Expected is the result of a vector.
type Expected struct {
	Messages                   []Message
	Errors, Deviations, Events []string
	Pending                    int
	Sizes                      []int
	Begins                     string
	Payload                    Bytes
}

// Load returns the vectors of a topic.
func Load(topic string) ([]Vector, error) {
	text, err := Files.ReadFile("vectors/" + topic + ".json")
	if err != nil {
		return nil, err
	}
	var file struct{ Vectors []Vector }
	err = json.Unmarshal(text, &file)
	return file.Vectors, err
}
