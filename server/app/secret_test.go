package app

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// What cannot be opened is told without the password of its DSN, whatever is wrong with it.
func TestNoErrorHoldsThePasswordOfTheStore(t *testing.T) {
	for _, dsn := range []string{
		"postgres://u:CANARY@127.0.0.1:1/db", "postgres://u:CANARY@127.0.0.1:1/db?connect_timeout=x", "postgres://u:CANARY@127.0.0.1:port/db",
		"postgres://u:CAN%ARY@h/db", "postgresql://u@127.0.0.1:1/db?password=CANARY", "postgres://127.0.0.1:1/db?user=u&password=CANARY&sslmode=what",
		"mysql://u:CANARY@h/db",
	} {
		var log strings.Builder
		a, err := New(t.Context(), Config{
			Dev: true, Store: dsn, Data: t.TempDir(), Listen: "127.0.0.1:0",
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err == nil {
			_ = a.Stop(context.Background())
			t.Fatalf("%s opened", dsn)
		}
		for _, secret := range []string{"CANARY", "CAN%ARY"} {
			if strings.Contains(err.Error()+log.String(), secret) {
				t.Errorf("%s: %v, logged %q", dsn, err, log.String())
			}
		}
	}
}

// /metrics has nothing that a client said: no room, no user, no data.
func TestMetricsHoldNothingOfClients(t *testing.T) {
	a := begin(t, t.TempDir())
	url := a.About().URL
	var made struct{ Token string }
	ask(t, "GET", url+"/v1/dev/token?user=CANARY", "", "", &made)
	body := `{"tag":"0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e","type":"canary","data":"CANARY"}`
	if status := ask(t, "POST", url+"/v1/rooms/canary:CANARY/events", made.Token, body, nil); status != 201 {
		t.Fatalf("send: %d", status)
	}
	ask(t, "GET", url+"/CANARY", made.Token+"CANARY", "", nil)
	response, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ToLower(string(text)), "canary") || !strings.Contains(string(text), "roomlog_sends_total 1") {
		t.Error(string(text))
	}
}
