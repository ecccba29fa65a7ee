// Sends messages over UDP to the loopback with go-gelf: send PORT COUNT MESSAGES.json v1|v2
package main

import (
	"encoding/json"
	"os"
	"strconv"
	"time"

	v1 "gopkg.in/Graylog2/go-gelf.v1/gelf"
	v2 "gopkg.in/Graylog2/go-gelf.v2/gelf"
)

func must[T any](value T, err error) T {
	if err == nil {
		return value
	}
	panic(err)
}

func main() {
	content := struct {
		Host   string
		Fields map[string]string
		Lines  []string
	}{}
	must(0, json.Unmarshal(must(os.ReadFile(os.Args[3])), &content))
	extra := map[string]interface{}{}
	for name, value := range content.Fields {
		extra["_"+name] = value
	}
	address := "127.0.0.1:" + os.Args[1]
	send := must(v2.NewUDPWriter(address)).WriteMessage
	if os.Args[4] == "v1" {
		writer := must(v1.NewWriter(address))
		send = func(message *v2.Message) error { return writer.WriteMessage((*v1.Message)(message)) }
	}
	for i := 0; i < must(strconv.Atoi(os.Args[2])); i++ {
		line, now := content.Lines[i%len(content.Lines)], float64(time.Now().UnixNano())/1e9
		must(0, send(&v2.Message{Version: "1.1", Host: content.Host, Short: line, TimeUnix: now, Level: 6, Extra: extra}))
	}
}
