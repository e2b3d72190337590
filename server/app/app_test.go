package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"roomlog/server/room"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; nothing waits that long when all is well.
const patience = 2 * time.Minute

// begin starts a dev server on a free port and a data folder of its own.
func begin(t *testing.T, data string) *App {
	t.Helper()
	return beginWith(t, data, func(*App) {})
}

// beginWith changes the server before it starts.
func beginWith(t *testing.T, data string, change func(*App)) *App {
	t.Helper()
	a, err := New(t.Context(), Config{Dev: true, Listen: "127.0.0.1:0", Data: data, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := a.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	change(a)
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	return a
}

// ask makes a request and reads the JSON of the answer into result, unless that is nil. A send of which is not known what
// became of it is made again, as clients do: a disk that others use as well may stand still for longer than it waits (ACK-5).
func ask(t *testing.T, method, url, token, body string, result any) int {
	t.Helper()
	status, text := asked(t, method, url, token, body)
	for again := time.Now(); status == http.StatusServiceUnavailable && bytes.Contains(text, []byte(`"code":"outcome_unknown"`)) && time.Since(again) < patience; {
		if status, text = asked(t, method, url, token, body); status == http.StatusOK && strings.HasSuffix(url, "/events") {
			status = http.StatusCreated
		}
	}
	if result != nil {
		if err := json.Unmarshal(text, result); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, url, status, text, err)
		}
	}
	return status
}

func asked(t *testing.T, method, url, token, body string) (status int, answer []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, text
}

func TestTokenAndEventsSurviveARestart(t *testing.T) {
	data := t.TempDir()
	a := begin(t, data)
	var made struct{ Token string }
	ask(t, "GET", a.About().URL+"/v1/dev/token?user=mira", "", "", &made)
	body := `{"tag":"0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e","type":"message","data":{"text":"hi"}}`
	if status := ask(t, "POST", a.About().URL+"/v1/rooms/chat:a/events", made.Token, body, nil); status != 201 {
		t.Fatalf("send: %d", status)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}

	b := begin(t, data)
	var page struct {
		Events []struct {
			Seq    int
			Author string
		}
	}
	if status := ask(t, "GET", b.About().URL+"/v1/rooms/chat:a/events?after=0", made.Token, "", &page); status != 200 {
		t.Fatalf("read with the token of before: %d", status)
	}
	if len(page.Events) != 1 || page.Events[0].Seq != 1 || page.Events[0].Author != "mira" {
		t.Fatalf("got %+v", page)
	}
	if status := ask(t, "POST", b.About().URL+"/v1/rooms/chat:a/events", made.Token, body, nil); status != 200 {
		t.Fatalf("repeat after the restart: %d, want 200 (TAG-3, TAG-7)", status)
	}
}

func TestAboutSaysWhatAnAckMeansAndWhatIsInsecure(t *testing.T) {
	about := begin(t, t.TempDir()).About()
	if !strings.HasPrefix(about.Durability, "full") || !strings.HasPrefix(about.Store, "sqlite ") {
		t.Errorf("store %q, durability %q", about.Store, about.Durability)
	}
	if len(about.Insecure) != 1 || !strings.Contains(about.Insecure[0], "token for any user") {
		t.Errorf("insecure %q", about.Insecure)
	}
}

func TestHeadersAreBounded(t *testing.T) { // HTTP-12
	a := begin(t, t.TempDir())
	for size, want := range map[int]int{24 << 10: 401, 40 << 10: 431} {
		if got := ask(t, "GET", a.About().URL+"/v1/sse", strings.Repeat("x", size), "", nil); got != want {
			t.Errorf("a token of %d bytes: status %d, want %d", size, got, want)
		}
	}
}

func TestTooFewOpenFilesAreNoted(t *testing.T) {
	about := describe(Config{Dev: true, Listen: "127.0.0.1:0", ConnectionsPerAddress: 1 << 60}, room.Info{}, "")
	if len(about.Notes) != 1 || !strings.Contains(about.Notes[0], "open files") {
		t.Errorf("notes %q", about.Notes)
	}
	if about := describe(Config{Dev: true, Listen: "127.0.0.1:0", ConnectionsPerAddress: 1}, room.Info{}, ""); len(about.Notes) != 0 {
		t.Errorf("notes %q", about.Notes)
	}
}

func TestBusyAddressIsOneSentence(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a, err := New(t.Context(), Config{Dev: true, Listen: taken.Addr().String(), Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Start()
	if err == nil || !strings.Contains(err.Error(), "is in use") || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("start on a busy address: %v", err)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Errorf("stop after a start that failed: %v", err)
	}
}

// One process has the data at a time: another is refused, harms nothing, and keeps nothing open.
func TestSecondServerOnTheSameDataIsRefused(t *testing.T) {
	data := t.TempDir()
	first := begin(t, data)
	second, err := New(t.Context(), Config{Dev: true, Listen: "127.0.0.1:0", Data: data})
	if err == nil {
		t.Fatalf("a second server has the same data: %v", second.Stop(context.Background()))
	}
	if status := ask(t, "GET", first.About().URL+"/readyz", "", "", nil); status != http.StatusOK {
		t.Errorf("the first server: %d", status)
	}
	if err := first.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	begin(t, data)
}

func TestStopIsIdempotentAndMayComeAtAnyTime(t *testing.T) {
	for range 5 {
		a, err := New(t.Context(), Config{Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() { _ = a.Start() }) // fails where Stop came first
		for range 3 {
			both.Go(func() {
				if err := a.Stop(context.Background()); err != nil {
					t.Errorf("stop: %v", err)
				}
			})
		}
		both.Wait()
		if addr := a.Addr(); addr != nil {
			if conn, err := net.Dial("tcp", addr.String()); err == nil {
				conn.Close()
				t.Error("it listens after Stop")
			}
		}
		if err := a.Start(); err == nil {
			t.Error("it starts after Stop")
		}
	}
}

// A poll that waits must not hold up a stop.
func TestStopEndsWaitingPolls(t *testing.T) {
	a := begin(t, t.TempDir())
	var made struct{ Token string }
	ask(t, "GET", a.About().URL+"/v1/dev/token?user=mira", "", "", &made)
	answered := make(chan int)
	go func() {
		answered <- ask(t, "GET", a.About().URL+"/v1/rooms/chat:a/events?after=0&wait=55", made.Token, "", nil)
	}()
	for a.hub.Stats().Rooms == 0 { // until the poll has reached its room
		if t.Context().Err() != nil {
			t.Fatal("the poll never reached the hub")
		}
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != 200 && status != 503 {
		t.Errorf("the poll was answered %d", status)
	}
}

func TestUndoRunsLastFirstAndJoinsErrors(t *testing.T) {
	var u undo
	var order bytes.Buffer
	one, two := errors.New("one"), errors.New("two")
	u.push("a", func(context.Context) error { order.WriteString("a"); return one })
	u.push("b", func(context.Context) error { order.WriteString("b"); return two })
	u.push("c", func(context.Context) error { order.WriteString("c"); return nil })
	for range 2 {
		err := u.run(t.Context())
		if !errors.Is(err, one) || !errors.Is(err, two) {
			t.Errorf("got %v, want both errors", err)
		}
	}
	if order.String() != "cba" {
		t.Errorf("order %q, want cba, each once", order.String())
	}
}
