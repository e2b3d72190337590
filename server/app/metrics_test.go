package app

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"roomlog/server/room"
)

// scrape reads the series of a /metrics page; their order and comments do not count.
func scrape(t *testing.T, url, key string) (map[string]float64, int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	series := map[string]float64{}
	if response.StatusCode != http.StatusOK {
		return series, response.StatusCode
	}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		series[line[:at]] = v
	}
	return series, response.StatusCode
}

func TestMetricsCountWhatHappened(t *testing.T) {
	began := time.Now()
	a := begin(t, t.TempDir())
	url := a.About().URL
	var made struct{ Token string }
	ask(t, "GET", url+"/v1/dev/token?user=mira", "", "", &made)
	for i := range 3 {
		body := fmt.Sprintf(`{"tag":"0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2%d","type":"message","data":1}`, i)
		if status := ask(t, "POST", url+"/v1/rooms/chat:a/events", made.Token, body, nil); status != 201 {
			t.Fatalf("send: %d", status)
		}
	}
	ask(t, "GET", url+"/v1/rooms/chat:a/events?after=99", made.Token, "", nil)
	ask(t, "GET", url+"/v1/rooms/chat:a/events?after=x", made.Token, "", nil)
	ask(t, "GET", url+"/v1/rooms/chat:a/events?before=3", made.Token, "", nil)

	got, status := scrape(t, url+"/metrics", "")
	if status != 200 {
		t.Fatalf("/metrics: %d", status)
	}
	for name, want := range map[string]float64{
		"roomlog_sends_total": 3, "roomlog_batches_total": 3, "roomlog_batch_sends_count": 3, "roomlog_batch_sends_sum": 3,
		`roomlog_batch_sends_bucket{le="1"}`: 3, `roomlog_append_seconds_bucket{le="+Inf"}`: 3, "roomlog_answer_seconds_count": 3,
		"roomlog_rooms": 1, "roomlog_connections": 0, "roomlog_cursors": 0, "roomlog_cursors_behind": 0, "roomlog_queued_sends": 0,
		`roomlog_resets_total{reason="ahead"}`: 1, `roomlog_resets_total{reason="epoch"}`: 0,
		`roomlog_errors_total{code="reset"}`: 1, `roomlog_errors_total{code="bad_position"}`: 1, `roomlog_errors_total{code="internal"}`: 0,
		`roomlog_store_reads_total{cause="open"}`:    1,
		`roomlog_store_reads_total{cause="history"}`: 1, `roomlog_store_reads_total{cause="replay"}`: 0,
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", name, v, there, want)
		}
	}
	// The one who was ahead had the head read, and the sweep of the hub may look once a second.
	if v, most := got[`roomlog_store_reads_total{cause="head"}`], 1+time.Since(began).Seconds(); v < 1 || v > most {
		t.Errorf("heads were read %v times, want one, and at most %v", v, most)
	}
	for _, name := range []string{"roomlog_tail_bytes", "roomlog_append_seconds_sum", "roomlog_answer_seconds_sum", "go_goroutines"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if _, there := got["roomlog_oldest_snapshot_seconds"]; there {
		t.Error("SQLite cannot say how old its oldest snapshot is, and says it")
	}
	for _, code := range room.Codes() {
		if _, there := got[`roomlog_errors_total{code="`+string(code)+`"}`]; !there {
			t.Errorf("%s is not counted", code)
		}
	}
	a.api.SetDegraded([]string{"bus", "other"})
	if errs := lint(a); errs != nil {
		t.Error(errs)
	}
	if v, there := got[`roomlog_degraded{part="bus"}`]; !there || v != 0 {
		t.Errorf("roomlog_degraded is %v (there: %t) while all is well", v, there)
	}
	if got, _ = scrape(t, url+"/metrics", ""); got[`roomlog_degraded{part="bus"}`] != 1 || got[`roomlog_degraded{part="other"}`] != 1 {
		t.Errorf("roomlog_degraded is %v and %v", got[`roomlog_degraded{part="bus"}`], got[`roomlog_degraded{part="other"}`])
	}
}

// lint has a registry that checks what is collected against itself look at it.
func lint(a *App) error {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(a.metrics)
	_, err := r.Gather()
	return err
}

// In serve the public listener has no metrics; the admin listener has them for whoever has its key.
func TestMetricsOfServeAreOnTheAdminListener(t *testing.T) {
	data := t.TempDir()
	a, err := New(t.Context(), Config{
		Key: testKey, Origins: []string{"none"}, Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Data: data,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		http.DefaultClient.CloseIdleConnections()
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(data, adminKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	about := a.About()
	for name, c := range map[string]struct {
		url, key string
		want     int
	}{
		"public":    {about.URL + "/metrics", strings.TrimSpace(string(key)), 404},
		"no key":    {about.Admin + "/metrics", "", 401},
		"wrong key": {about.Admin + "/metrics", testKey, 401},
		"key":       {about.Admin + "/metrics", strings.TrimSpace(string(key)), 200},
		"elsewhere": {about.Admin + "/", strings.TrimSpace(string(key)), 404},
	} {
		if _, status := scrape(t, c.url, c.key); status != c.want {
			t.Errorf("%s: %d, want %d", name, status, c.want)
		}
	}
}

func TestAdminListenerIsLoopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0:9090", ":9090", "192.0.2.1:9090", "9090"} {
		err := Config{Dev: true, AdminListen: address}.withDefaults().validate()
		if err == nil || !strings.Contains(err.Error(), "--admin-listen") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
