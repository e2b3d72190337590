package webhook

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/signed.json anew")

// HOOK-15: testdata/signed.json is what this package signs; client/test/webhook.test.ts has the library of Standard
// Webhooks verify it.
func TestSignedDeliveriesAreThoseThatTheLibraryVerifies(t *testing.T) {
	const file, text = "testdata/signed.json", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	type signed struct {
		Secret    string `json:"secret"`
		ID        string `json:"id"`
		Timestamp int64  `json:"timestamp"`
		Body      string `json:"body"`
		Signature string `json:"signature"`
	}
	var now []signed
	for i, body := range []string{`{"type":"after_append","events":[]}`, `{"text":"Grüße <b> 👋"}`, ``} {
		s := signed{text, []string{"page_1", "ask_ü", "reset_3"}[i], 1795521176 + int64(i), body, ""}
		s.Signature = secret(t).Sign(s.ID, time.Unix(s.Timestamp, 0), []byte(s.Body))
		now = append(now, s)
	}
	want, err := json.MarshalIndent(now, "", "  ")
	must(t, err)
	if *update {
		must(t, os.WriteFile(file, append(want, '\n'), 0o600))
	}
	got, err := os.ReadFile(file)
	must(t, err)
	if string(got) != string(want)+"\n" {
		t.Errorf("%s is not what is signed now: run with -update, then the test in client", file)
	}
}
