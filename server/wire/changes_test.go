package wire

import (
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

func TestEventsThatChange(t *testing.T) {
	at := time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
	gone := &room.Gone{Seq: 415, By: `u"2`, At: at}
	const deleted = `,"deleted":{"seq":415,"by":"u\"2","at":"2026-11-23T11:00:00.000000Z"}`
	for _, c := range []struct {
		name   string
		change func(*room.Event)
		want   string // what follows the data
	}{
		{"CHG-1 a change", func(e *room.Event) { e.Target = 400 }, `,"target":400`},
		{"CHG-7 deleted", func(e *room.Event) { e.Gone = gone }, deleted},
		{"CHG-7 an edit of it", func(e *room.Event) { e.Target, e.Gone = 400, gone }, `,"target":400` + deleted},
		{"CHG-9 edited", func(e *room.Event) { e.Edited = &room.Edited{Seq: 420, At: at} }, `,"edited":{"seq":420,"at":"2026-11-23T11:00:00.000000Z"}`},
		{
			"CHG-9 reactions",
			func(e *room.Event) {
				e.Reactions = []room.Reaction{{Emoji: "👍", Count: 12, Users: []string{"u1", "u2"}}, {Emoji: `"`, Count: 1}}
			},
			`,"reactions":[{"emoji":"👍","count":12,"users":["u1","u2"]},{"emoji":"\"","count":1,"users":[]}]`,
		},
	} {
		e := event
		c.change(&e)
		want := strings.TrimSuffix(eventText, "}") + c.want + "}"
		if got := string(AppendEvent(nil, "chat:a", &e)); got != want {
			t.Errorf("%s:\n%s\n%s", c.name, got, want)
		}
	}
	e := event
	e.Gone, e.Data = gone, room.NoData
	got := string(AppendStored(nil, "chat:a", "k3f9", &e, true))
	if !strings.HasSuffix(got, `,"data":null`+deleted+`,"duplicate":true}`) {
		t.Error(got)
	}
	ack := string(Ack{Room: "chat:a", Epoch: "k3f9", Seq: 413, At: at, Tag: event.Tag, Duplicate: true, Target: 400, Gone: gone}.Append(nil))
	if !strings.HasSuffix(ack, `,"duplicate":true,"target":400`+deleted+`}`) {
		t.Error(ack)
	}
}
