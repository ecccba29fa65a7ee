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
	content, extra := map[string]interface{}{}, map[string]interface{}{}
	must(0, json.Unmarshal(must(os.ReadFile(os.Args[3])), &content))
	for name, value := range content["fields"].(map[string]interface{}) {
		extra["_"+name] = value
	}
	host, lines := content["host"].(string), content["lines"].([]interface{})
	address := "127.0.0.1:" + os.Args[1]
	send := must(v2.NewUDPWriter(address)).WriteMessage
	if os.Args[4] == "v1" {
		writer := must(v1.NewWriter(address))
		send = func(message *v2.Message) error { return writer.WriteMessage((*v1.Message)(message)) }
	}
	for i := 0; i < must(strconv.Atoi(os.Args[2])); i++ {
		line, now := lines[i%len(lines)].(string), float64(time.Now().UnixNano())/1e9
		message := v2.Message{Version: "1.1", Host: host, Short: line, TimeUnix: now, Level: 6, Extra: extra}
		must(0, send(&message))
	}
}
