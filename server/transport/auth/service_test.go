package auth

import (
	"strings"
	"testing"

	"roomlog/server/room"
)

func TestServices(t *testing.T) { // AUTH-14
	good := strings.Repeat("0123456789abcdef", 2)
	grants := Grants{{"chat:*", []Action{Read, Send}}}
	for _, c := range []struct {
		name, key string
		grants    Grants
	}{
		{"", good, grants}, {"Backend", good, grants}, {"a:b", good, grants}, {strings.Repeat("a", 33), good, grants},
		{"backend", good[:31], grants}, {"backend", good + "\n", grants}, {"backend", good + " ", grants}, {"backend", good + "é", grants},
		{"backend", good, Grants{{"**", nil}}},
	} {
		if _, err := NewService(c.name, c.key, c.grants); err == nil || strings.Contains(err.Error(), good[:31]) {
			t.Errorf("%q %q %v: %v", c.name, c.key, c.grants, err)
		}
	}
	one, err := NewService("backend", good, grants)
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewService("jobs", good+"2", nil)
	if err != nil {
		t.Fatal(err)
	}
	all := Services{one, two}
	for key, want := range map[string]string{good: "backend", good + "2": "jobs", "": "", good[1:]: "", strings.ToUpper(good): "", good + strings.Repeat("x", maxToken): ""} {
		if s := all.Find(key); (s == nil) != (want == "") || s != nil && s.Name() != want {
			t.Errorf("%q finds %+v, want %q", key, s, want)
		}
	}
	who, err := one.As("mira")
	if err != nil || who.User != "mira" || who.Service != "backend" || who.IssuedAt.IsZero() || !who.Grants.Allow(Send, "chat:a") || who.Grants.Allow(Read, "game:a") {
		t.Errorf("%+v, %v", who, err)
	}
	if who, err = one.As(""); err != nil || who.User != "service:backend" {
		t.Errorf("%+v, %v", who, err)
	}
	for _, bad := range []string{"service:backend", "service:", "a\nb", strings.Repeat("x", 129)} { // AUTH-2: nobody is mistaken for a service
		if _, err := one.As(bad); codeOf(err) != room.CodeBadRequest {
			t.Errorf("acts for %q: %v", bad, err)
		}
	}
}

func TestCovers(t *testing.T) { // TICK-2
	have := Grants{{"chat:*", []Action{Read, Send}}, {"game:1", []Action{Read}}, {"board:a*", []Action{Read}}}
	for _, c := range []struct {
		rooms string
		can   []Action
		want  bool
	}{
		{"chat:*", []Action{Read, Send}, true},
		{"chat:a", []Action{Send}, true},
		{"chat:a*", []Action{Read}, true},
		{"game:1", []Action{Read}, true},
		{"board:ab*", []Action{Read}, true},
		{"board:a", []Action{Read}, true},
		{"nowhere:a", nil, true}, // which allows nothing
		{"*", []Action{Read}, false},
		{"chat*", []Action{Read}, false},
		{"game:1*", []Action{Read}, false},
		{"game:1", []Action{Read, Send}, false},
		{"game:12", []Action{Read}, false},
		{"board:b", []Action{Read}, false},
		{"board:*", []Action{Read}, false},
	} {
		if got := have.Covers(Grants{{c.rooms, c.can}}); got != c.want {
			t.Errorf("%s %v: %v", c.rooms, c.can, got)
		}
	}
	if have.Covers(Grants{{"chat:a", []Action{Read}}, {"other:a", []Action{Read}}}) {
		t.Error("one of two is enough")
	}
}
