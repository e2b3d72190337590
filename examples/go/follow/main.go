// Follow copies a room into a file and stays with it: go run main.go chat:lobby copy.jsonl
//
// Each line of the file is one page, which says where it ends. So the file itself is the place to go on from,
// however this program ended: a line that was cut short is dropped, and asked for again.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"time"
)

// server is the address of the server.
var server = env("ROOMLOG_URL", "http://127.0.0.1:8080")

// client outlasts the longest wait; a connection that is dead ends by it.
var client = &http.Client{Timeout: 40 * time.Second}

// page is what a line holds, or the problem of a reset.
type page struct {
	Position string            `json:"position"`
	Events   []json.RawMessage `json:"events"`
	Epoch    string            `json:"epoch"`
	Floor    int64             `json:"floor"`
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: follow ROOM FILE")
	}
	file, position, err := open(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	for failures := 0; ; {
		position, err = step(os.Args[1], file, position)
		if err == nil {
			failures = 0
			continue
		}
		log.Print(err)
		failures = min(failures+1, 7)
		time.Sleep(rand.N(250 * time.Millisecond << failures))
	}
}

// open gives the file and the position behind its last whole line.
func open(name string) (*os.File, string, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, "", err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	last := page{Position: "0"} // the beginning
	if lines := bytes.Split(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n")); len(whole) > 0 {
		if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
			return nil, "", fmt.Errorf("read %s: %w", name, err)
		}
	}
	return file, last.Position, cut(file, int64(len(whole)))
}

// cut ends the file after so many bytes and goes there.
func cut(file *os.File, size int64) error {
	if err := file.Truncate(size); err != nil {
		return err
	}
	_, err := file.Seek(size, io.SeekStart)
	return err
}

// step asks once, waits up to 25 s for something to be there, and gives the position to go on from.
func step(room string, file *os.File, position string) (string, error) {
	bearer, err := token()
	if err != nil {
		return position, err
	}
	path := "/v1/rooms/" + url.PathEscape(room) + "/events?limit=500&wait=25&after=" + url.QueryEscape(position)
	status, text, err := get(path, bearer)
	if err != nil {
		return position, err
	}
	var got page
	if err := json.Unmarshal(text, &got); err != nil {
		return position, fmt.Errorf("status %d: %w", status, err)
	}
	switch {
	case status == http.StatusGone: // a reset: the log does not go on from here, so begin with what there is
		return fmt.Sprintf("%s:%d", got.Epoch, got.Floor-1), cut(file, 0)
	case status != http.StatusOK:
		return position, fmt.Errorf("status %d: %s", status, text)
	case len(got.Events) == 0:
		return position, nil
	}
	if _, err := file.Write(append(text, '\n')); err != nil {
		log.Fatal(err) // half a line may be there now: the next start drops it
	}
	return got.Position, nil
}

// token is that of your backend; without one, a server in dev mode gives one to anybody.
func token() (string, error) {
	if token := os.Getenv("ROOMLOG_TOKEN"); token != "" {
		return token, nil
	}
	_, text, err := get("/v1/dev/token?user=copier", "")
	if err != nil {
		return "", err
	}
	var made struct{ Token string }
	err = json.Unmarshal(text, &made)
	return made.Token, err
}

func get(path, token string) (int, []byte, error) {
	req, err := http.NewRequest(http.MethodGet, server+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, bytes.TrimSpace(text), err
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
