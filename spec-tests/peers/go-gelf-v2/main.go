// Adapter of the subject protocol (../../PROTOCOL.md) for go-gelf v2, the library with which the Docker Engine sends.
//
// Its TCPReader is not asked: the library exports no way to create one or to read from it.
package main

import (
	"go-gelf-v2-subject/adapter"

	"gopkg.in/Graylog2/go-gelf.v2/gelf"
)

func main() {
	adapter.Serve(adapter.Version{
		Name: "go-gelf v2",
		NewUDPWriter: func(address string, compression gelf.CompressType) (adapter.Writer, error) {
			writer, err := gelf.NewUDPWriter(address)
			if err == nil {
				writer.CompressionType = compression
			}
			return writer, err
		},
		NewTCPWriter: func(address string) (adapter.Writer, error) { return gelf.NewTCPWriter(address) },
	})
}
