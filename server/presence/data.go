package presence

import (
	"bytes"
	"encoding/json"
	"fmt"

	"roomlog/server/room"
)

// What a connection may show of itself (rule PRES-3).
const (
	maxData  = 4 << 10
	maxKeys  = 64
	maxDepth = 8
)

// CheckData judges what a connection wants to show: null or a JSON object of at most 4 KiB once compacted, with 64 keys in all, 8 levels deep.
// What the keys are called means nothing. It returns the data in the one form that stays the same however often it is encoded. Errors:
// bad_data, message_too_large, limit_exceeded.
func CheckData(data []byte) ([]byte, error) {
	data, err := room.CompactData(data, maxData)
	if err != nil {
		return nil, err
	}
	if data[0] != '{' && string(data) != "null" {
		return nil, &room.Error{Code: room.CodeBadData, Field: "data", Title: "What a connection shows of itself is a JSON object, or null."}
	}
	if err := checkShape(data); err != nil {
		return nil, err
	}
	text, err := json.Marshal(json.RawMessage(data))
	if err != nil {
		return nil, fmt.Errorf("encode what is shown: %w", err)
	}
	return text, nil
}

// checkShape counts the keys and levels of JSON.
func checkShape(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	depth, keys := 0, 0
	var objects []bool // of the levels: whether it is an object
	key := false       // the next text of an object is a key
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil // the end
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return &room.Error{Code: room.CodeLimitExceeded, Field: "data", Limit: maxDepth, Title: "What a connection shows of itself is nested too deeply."}
			}
			objects = append(objects, token == json.Delim('{'))
			key = token == json.Delim('{')
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			objects = objects[:depth]
		default:
			if key {
				if keys++; keys > maxKeys {
					return &room.Error{Code: room.CodeLimitExceeded, Field: "data", Limit: maxKeys, Title: "What a connection shows of itself has too many keys."}
				}
				key = false
				continue
			}
		}
		key = depth > 0 && objects[depth-1]
	}
}
