// Produce posts the memory and the goroutines of a program to a feed, once a second: go run main.go feed:program [POINTS]
//
// What could not be posted goes with the next request, with the same tags: no point is lost or stored twice while the
// server or the network is away, but for the oldest of more than a thousand.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// server is the address of the server.
var server = env("ROOMLOG_URL", "http://127.0.0.1:8080")

var client = &http.Client{Timeout: 10 * time.Second}

// event is a point on its way. Its tag is made once.
type event struct {
	Tag  string `json:"tag"`
	Type string `json:"type"`
	Data point  `json:"data"`
}

// point is what was measured: when, and a number for each series.
type point struct {
	T int64              `json:"t"`
	V map[string]float64 `json:"v"`
}

// result is what became of an event: it has a code where it was refused.
type result struct {
	Code      string `json:"code"`
	Title     string `json:"title"`
	Retryable bool   `json:"retryable"`
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: produce ROOM [POINTS]")
	}
	every, err := time.ParseDuration(env("EVERY", "1") + "s")
	if err != nil {
		log.Fatal(err)
	}
	count, err := strconv.Atoi(append(os.Args, "0")[2])
	if err != nil {
		log.Fatal(err)
	}
	var waiting []event
	for made := 0; count == 0 || made < count || len(waiting) > 0; time.Sleep(every) {
		if count == 0 || made < count {
			made++
			waiting = append(waiting, measure())
			waiting = waiting[max(0, len(waiting)-1000):]
		}
		if waiting, err = post(os.Args[1], waiting); err != nil {
			log.Print(err)
		}
	}
}

func measure() event {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return event{uuid.NewString(), "point", point{time.Now().UnixMilli(), map[string]float64{
		"heap_mib":   float64(m.HeapAlloc) / (1 << 20),
		"goroutines": float64(runtime.NumGoroutine()),
	}}}
}

// post gives the events that are still to be stored. A request without an answer may have stored them all: the tags tell.
func post(room string, waiting []event) ([]event, error) {
	batch := waiting[:min(len(waiting), 100)]
	body, err := json.Marshal(map[string]any{"events": batch})
	if err != nil {
		return waiting, err
	}
	var answer struct{ Results []result }
	if err := call(http.MethodPost, "/v1/rooms/"+url.PathEscape(room)+"/events", body, &answer); err != nil {
		return waiting, err
	}
	var left []event
	for i, r := range answer.Results {
		switch {
		case r.Code == "":
		case !r.Retryable:
			log.Fatalf("%s: %s", r.Code, r.Title)
		default:
			left = append(left, batch[i])
		}
	}
	return append(left, waiting[len(batch):]...), nil
}

// call makes a request with the token of your backend; without one, a server in dev mode gives one to anybody.
func call(method, path string, body []byte, answer any) error {
	token := os.Getenv("ROOMLOG_TOKEN")
	if token == "" && method != http.MethodGet {
		var made struct{ Token string }
		if err := call(http.MethodGet, "/v1/dev/token?user=program", nil, &made); err != nil {
			return err
		}
		token = made.Token
	}
	req, err := http.NewRequest(method, server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode < 500 && resp.StatusCode >= 400 && resp.StatusCode != 401 && resp.StatusCode != 429:
		log.Fatalf("status %d: %s", resp.StatusCode, text)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return json.Unmarshal(text, answer)
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
