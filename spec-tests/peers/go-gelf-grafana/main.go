// Adapter of the subject protocol (../../PROTOCOL.md) for go-gelf as Grafana maintains it, the receiver of Promtail and Alloy.
//
// It shares the adapter of v2; go.mod replaces the module of v2 by the fork.
package main

import (
	"go-gelf-v2-subject/adapter"

	"gopkg.in/Graylog2/go-gelf.v2/gelf"
)

func main() {
	adapter.Serve(adapter.Version{
		Name: "go-gelf (Grafana)",
		NewUDPWriter: func(address string, compression gelf.CompressType) (adapter.Writer, error) {
			writer, err := gelf.NewUDPWriter(address)
			if err == nil {
				writer.CompressionType = compression
			}
			return writer, err
		},
		NewTCPWriter: func(address string) (adapter.Writer, error) { return gelf.NewTCPWriter(address) },
		Expires:      true,
	})
}
