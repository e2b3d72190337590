package app

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// SQL-5, MEM-10: who becomes a member by an append from SQL is told, though their node knows nothing of the room, and so is who ends.
func TestMembersFromSQLAreHeard(t *testing.T) {
	s := beginShared(t, Kinds{"chat": {}, "club": {Access: "members"}})
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v1/sse?me=true", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+s.token("ben"))
	resp, err := http.DefaultClient.Do(r)
	must(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	until := func(part string) {
		t.Helper()
		for lines.Scan() {
			if text, is := strings.CutPrefix(lines.Text(), "data: "); is && strings.Contains(text, part) {
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", part, lines.Err())
	}
	until(`"full":true`)
	s.bySQL(t, []sent{{"club:a", "member", "app", tagNumber(1), `{"user":"ben","role":"member"}`}})
	until(`"role":"member"`)
	s.bySQL(t, []sent{{"club:a", "message", "app", tagNumber(2), `"hello"`}})
	until(`"unread":1`)
	if status := ask(t, "GET", s.url+"/v1/rooms/club:a/events", s.token("ben"), "", nil); status != 200 {
		t.Errorf("a member reads: %d", status)
	}
	s.bySQL(t, []sent{{"club:a", "member", "app", tagNumber(3), `{"user":"ben","role":null}`}})
	until(`"gone":["club:a"]`)
	if status := ask(t, "GET", s.url+"/v1/rooms/club:a/events", s.token("ben"), "", nil); status != 404 {
		t.Errorf("who is no member any more reads: %d", status)
	}
}
