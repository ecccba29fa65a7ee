package example

import (
	"encoding/json"
	"reflect"
	"testing"

	vectors "example.org/gelf-vectors"
)

func TestLevels(t *testing.T) {
	all, err := vectors.Load("level")
	for _, vector := range all {
		var found struct{ Level *float64 }
		_ = json.Unmarshal(vector.Payload, &found)
		if vector.Demand == "take" && !reflect.DeepEqual(found.Level, vector.Strict.Messages[0].Level) {
			t.Error(vector.ID)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
