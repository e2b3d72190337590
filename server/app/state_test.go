package app

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// STATE-6, STATE-11, STATE-17: a whole server with a kind that keeps events of state and one that keeps the map: what webhooks are given,
// and what the policies say.
func TestStateOfAWholeServer(t *testing.T) {
	r := newHookReceiver(t)
	after := []AfterConfig{{Name: "after", URL: r.URL + "/after", Secret: hookSecret}}
	cfg := Config{
		Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), Version: "test", WebhookAllow: []string{"127.0.0.0/8"},
		Kinds: Kinds{"board": {AfterAppend: after}, "dash": {AfterAppend: after, State: StateConfig{History: "none", Keys: 2}}},
	}
	a, err := New(t.Context(), cfg)
	must(t, err)
	must(t, a.Start())
	defer func() {
		http.DefaultClient.CloseIdleConnections()
		must(t, a.Stop(context.Background()))
	}()
	url := a.About().URL
	var made struct{ Token string }
	ask(t, "GET", url+"/v1/dev/token?user=mira", "", "", &made)
	for i, c := range []struct{ id, want string }{
		{"board:a", `"events":[{"room":"board:a","seq":1,"type":"state"`},
		{"dash:a", `"events":[],"state":{"x":{"value":1,"seq":1,"author":"mira"`},
	} {
		var got struct{ Seq int64 }
		body := fmt.Sprintf(`{"tag":%q,"type":"state","data":{"x":1}}`, tagNumber(i+1))
		if status := ask(t, "POST", url+"/v1/rooms/"+c.id+"/events", made.Token, body, &got); status != 201 || got.Seq != 1 {
			t.Fatalf("%s: %d %+v", c.id, status, got)
		}
		select {
		case told := <-r.delivered:
			if !strings.Contains(told, c.want) || !strings.Contains(told, `"prev":0,"seq":1,"position":"`) {
				t.Errorf("STATE-17: delivered is %s, without %s", told, c.want)
			}
		case <-time.After(patience):
			t.Fatalf("STATE-17: nothing is delivered of %s", c.id)
		}
	}
	var refused struct {
		Code, Field string
		Limit       int64
	}
	ask(t, "POST", url+"/v1/rooms/dash:a/events", made.Token, fmt.Sprintf(`{"tag":%q,"type":"state","data":{"y":1,"z":1}}`, tagNumber(9)), &refused)
	if refused.Code != "limit_exceeded" || refused.Field != "keys" || refused.Limit != 2 {
		t.Errorf("STATE-6: %+v", refused)
	}
}

// What is wrong with a policy of state is told by its place in the file.
func TestStatePolicies(t *testing.T) {
	for _, c := range []struct {
		state StateConfig
		wrong string
	}{
		{StateConfig{}, ""},
		{StateConfig{History: "none", Tags: time.Minute, Keys: room.MostStateKeys, Bytes: 1}, ""},
		{StateConfig{History: "some"}, "kinds.k.state.history"},
		{StateConfig{Tags: time.Hour}, "kinds.k.state.tags"},
		{StateConfig{History: "none", Tags: time.Second}, "kinds.k.state.tags"},
		{StateConfig{Keys: -1}, "kinds.k.state.keys"},
		{StateConfig{Keys: room.MostStateKeys + 1}, "kinds.k.state.keys"},
		{StateConfig{Bytes: room.StateBytes + 1}, "kinds.k.state.bytes"},
	} {
		err := Kinds{"k": {State: c.state}}.validate()
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%+v: %v, want %q", c.state, err, c.wrong)
		}
	}
	if w := (StateConfig{}).policy().Window(); w != 0 {
		t.Errorf("STATE-11: events that are kept are swept after %v", w)
	}
	if w := (StateConfig{History: "none"}).policy().Window(); w != time.Hour {
		t.Errorf("STATE-11: %v", w)
	}
}
