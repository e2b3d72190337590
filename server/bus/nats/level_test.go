package nats

import (
	"strings"
	"testing"

	"roomlog/server/room"
)

func TestLevels(t *testing.T) {
	for topic, level := range map[room.Topic]string{
		"room:chat:general": "room:chat:general",
		"room:chat:a.b@c-d": "room:chat:a=2Eb@c-d",
		"*":                 "=2A",
		">":                 "=3E",
		"a b\r\n":           "a=20b=0D=0A",
		"=2A":               "=3D2A",
		"é":                 "=C3=A9",
	} {
		if got := encode(topic); got != level {
			t.Errorf("encode %q = %q, not %q", topic, got, level)
		}
	}
	for _, level := range []string{"=", "=2", "a=2", "=2a", "=GG", "=-1", "= 1"} {
		if topic, ok := decode(level); ok {
			t.Errorf("decode %q = %q", level, topic)
		}
	}
}

// A topic is one level without anything that a server reads, and comes back as it was; what others may send is no harm.
func FuzzLevel(f *testing.F) {
	for _, s := range []string{"room:chat:general", "a.b", "*", ">", "=", "=2A", "a b", "\x00\xff", "=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = decode(s)
		level := encode(room.Topic(s))
		if strings.ContainsAny(level, ".*> \t\r\n\x00") || len(level) > 3*len(s) {
			t.Errorf("%q is the level %q", s, level)
		}
		if back, ok := decode(level); !ok || string(back) != s {
			t.Errorf("%q came back as %q", s, back)
		}
	})
}
