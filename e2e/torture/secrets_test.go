package torture

import (
	"bytes"
	"io"
	"net/http"
	"os"

	"roomlog/history"
)

// searchSecrets looks for what nobody may read in the node's log at debug level, through all its starts, and in its
// metrics: tokens, keys and the data of events (I27). Refusals are searched as they come
// (wanderer.deny).
func (r *run) searchSecrets() {
	secrets := map[string][]byte{"the data of an event": []byte(canaryData)}
	key, err := r.node.key()
	if err != nil {
		r.t.Fatal(err)
	}
	secrets["the signing key"] = key
	for _, f := range r.followers {
		secrets["the token of "+f.name] = []byte(f.token)
	}
	for _, w := range r.writers {
		secrets["the token of "+w.name] = []byte(w.token)
	}
	log := r.log()
	if !bytes.Contains(log, []byte("DEBUG")) {
		r.t.Error("the log is not at debug level: a search proves little")
	}
	r.search("the server's log", log, secrets)
	r.search("the metrics", r.metrics(), secrets)
}

// search records a measure for each secret: how often the text has it.
func (r *run) search(where string, text []byte, secrets map[string][]byte) {
	for what, secret := range secrets {
		r.rec.Add(history.Line{
			Op: history.OpGauge, Client: "judge", Code: "I27", Reason: what + " in " + where, Count: int64(bytes.Count(text, secret)),
		})
	}
}

func (r *run) metrics() []byte {
	resp, err := http.Get("http://" + r.node.addr + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatalf("/metrics: status %d: %v", resp.StatusCode, err)
	}
	return text
}

// log is what the node has logged, through all its starts.
func (r *run) log() []byte {
	text, err := os.ReadFile(r.node.log.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}
