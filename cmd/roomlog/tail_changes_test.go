package main

import (
	"encoding/json"
	"testing"
)

// What a tail says of messages that change.
func TestTailSaysWhatChanges(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"message","data":{"text":"hi"}}`: "hi",
		`{"type":"message","data":[1]}`:           "[1]",
		`{"type":"message","data":null,"deleted":{"seq":4,"by":"u2","at":"2026-11-23T10:00:00.123456Z"}}`:             "(deleted by u2)",
		`{"type":"edit","target":3,"data":null,"deleted":{"seq":4,"by":"u2","at":"2026-11-23T10:00:00.123456Z"}}`:     "(deleted by u2)",
		`{"type":"message","data":{"text":"hi"},"edited":{"seq":4},"reactions":[{"emoji":"👍","count":2,"users":[]}]}`: "hi (edited) [👍 2]",
		`{"type":"edit","target":3,"data":{"target":3,"data":{"text":"b"}}}`:                                          "3 is now: b",
		`{"type":"delete","target":3,"data":{"target":3}}`:                                                            "3 is deleted",
		`{"type":"delete","target":3,"data":{"target":3,"reason":"spam"}}`:                                            "3 is deleted: spam",
		`{"type":"reaction","target":3,"data":{"target":3,"emoji":"👍"}}`:                                              "3 👍",
		`{"type":"reaction","target":3,"data":{"target":3,"emoji":"👍","remove":true}}`:                                "3 no longer 👍",
		`{"type":"delete","data":{"of":"another kind"}}`:                                                              `{"of":"another kind"}`,
	} {
		var e event
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		if got := body(e); got != want {
			t.Errorf("%s is said as %q, want %q", text, got, want)
		}
		if string(e.text) != text {
			t.Errorf("its text is %s", e.text)
		}
	}
}
