package torture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"roomlog/history"
)

// read asks the node itself, not through a proxy.
func (r *run) read(room, after string, limit int) page {
	req, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/v1/rooms/%s/events?after=%s&limit=%d", r.node.addr, room, after, limit), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.followers[0].token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	var p page
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusGone {
		r.t.Fatalf("read %s after %s: status %d: %v", room, after, resp.StatusCode, err)
	}
	return p
}

// readFinal records every room from its start, or from its floor.
func (r *run) readFinal() {
	for _, name := range r.rooms {
		after, floor := "0", r.read(name, "0", 1).Floor
		if floor > 1 {
			after = fmt.Sprint(floor - 1)
		}
		for {
			p := r.read(name, after, 500)
			if len(p.Events) == 0 {
				if after == "0" {
					r.rec.Add(history.Line{Op: history.OpFinal, Client: "judge", Room: name, Epoch: p.Epoch, Via: history.ViaHistory})
				}
				break
			}
			for _, e := range p.Events {
				r.rec.Add(history.Line{
					Op: history.OpFinal, Client: "judge", Room: name, Epoch: p.Epoch, Seq: e.Seq, Author: e.Author,
					Tag: e.Tag, PayloadHash: history.Hash(e.Data), Via: history.ViaHistory, Floor: floor,
				})
			}
			after = p.Position
		}
	}
	if err := r.snapshot(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// judge has the history checked. It must hold, and have put the named invariants to the test.
func (r *run) judge(exercised ...string) {
	verdict, err := history.Check(append([]string{r.file}, r.others...))
	if err != nil {
		r.t.Fatal(err)
	}
	var table bytes.Buffer
	if err := errors.Join(verdict.Table(&table)); err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("\n%s", table.String())
	for what, times := range r.rec.violations() {
		r.t.Errorf("no fault excuses this, seen %d times: %s", times, what)
	}
	faults, err := r.node.faults()
	if err != nil || len(faults) > 0 {
		r.t.Errorf("the server's log has %q: %v (-keep keeps it)", faults, err)
	}
	if !verdict.OK(exercised...) {
		r.t.Errorf("the history does not hold: violated %v, or not exercised", verdict.Failed())
	}
}
