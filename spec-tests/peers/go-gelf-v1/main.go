// Adapter of the subject protocol (../../PROTOCOL.md) for go-gelf v1, which supports only UDP.
//
// It shares the adapter of v2; go.mod replaces the module of v2 by that of v1.
package main

import (
	"go-gelf-v2-subject/adapter"

	"gopkg.in/Graylog2/go-gelf.v2/gelf"
)

func main() {
	adapter.Serve(adapter.Version{
		Name: "go-gelf v1",
		NewUDPWriter: func(address string, compression gelf.CompressType) (adapter.Writer, error) {
			writer, err := gelf.NewWriter(address)
			if err == nil {
				writer.CompressionType = compression
			}
			return writer, err
		},
	})
}
