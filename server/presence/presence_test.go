package presence

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// Two tabs are one, and only the last one ends it (PRES-1, PRES-2).
func TestLeavesWithTheLastConnection(t *testing.T) {
	inWorld(t, 1, nil, func(w *world, nodes []*node) {
		a := nodes[0]
		one, two := a.open("u1"), a.open("u1")
		other := a.open("u2")
		w.settle()
		a.sees("u1", "u2")
		if m := a.member("u1"); len(m.Devices) != 2 {
			t.Errorf("devices %v", m.Devices)
		}
		one.close()
		sleep(time.Minute)
		a.sees("u1", "u2")
		if m := a.member("u1"); len(m.Devices) != 1 || m.Devices[0].ID != two.id {
			t.Errorf("devices %v", m.Devices)
		}
		two.close()
		sleep(4 * time.Second)
		a.sees("u1", "u2") // the grace
		sleep(2 * time.Second)
		a.sees("u2")
		other.close()
		sleep(6 * time.Second)
		a.sees()
		a.logs("+u1 +u2 -u1 -u2")
		if s := a.Stats(); s.Entries != 0 {
			t.Errorf("entries are left: %+v", s)
		}
	})
}

// Who is back within the grace was never away (PRES-2).
func TestBackWithinTheGrace(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		first := a.open("u1")
		w.settle()
		since := b.member("u1").Since
		last := first
		for i := range 10 { // here and there, forth and back
			last.close()
			sleep(4500 * time.Millisecond)
			last = nodes[i%2].open("u1")
			sleep(time.Second)
		}
		w.settle()
		for _, n := range nodes {
			n.logs("+u1")
			if m := n.member("u1"); m.Since != since || len(m.Devices) != 1 || m.Devices[0].ID != last.id {
				t.Errorf("%s: since %s, want %s, devices %v", n.name, m.Since, since, m.Devices)
			}
		}
		last.close()
		sleep(6 * time.Second)
		a.logs("+u1 -u1")
		b.logs("+u1 -u1")
	})
}

// The same connection joins again: the new coming is before the old going.
func TestJoinsAgain(t *testing.T) {
	inWorld(t, 1, nil, func(w *world, nodes []*node) {
		a := nodes[0]
		one := a.open("u1")
		again := &tab{a, one.id, "u1", new(int)}
		a.Came(hall, again.key, Guest{Connection: one.id, User: "u1"})
		one.close()
		sleep(time.Minute)
		a.sees("u1")
		again.close()
		sleep(6 * time.Second)
		a.sees()
	})
}

// Of the data the latest counts, and a user is idle where all devices are (PRES-3, PRES-4).
func TestDataAndIdle(t *testing.T) {
	yes, no := true, false
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		one, two := a.open("u1"), b.open("u1")
		change := func(tab *tab, data string, idle *bool) {
			t.Helper()
			if err := tab.n.Change(hall, tab.id, []byte(data), idle); err != nil {
				t.Fatal(err)
			}
			w.settle()
		}
		is := func(data string, idle bool) {
			t.Helper()
			for _, n := range nodes {
				if m := n.member("u1"); string(m.Data) != data || m.Idle != idle {
					t.Errorf("%s: data %s, idle %t, want %s, %t", n.name, m.Data, m.Idle, data, idle)
				}
			}
		}
		w.settle()
		is("", false)
		change(one, `{"n":1}`, &yes)
		is(`{"n":1}`, false)
		change(two, `{"n": 2, "__proto__": {"x": "<"}}`, &yes)
		is(`{"n":2,"__proto__":{"x":"\u003c"}}`, true)
		change(one, `{"n":3}`, &no)
		is(`{"n":3}`, false)
		if err := a.Change(hall, one.id, nil, &yes); err != nil {
			t.Fatal(err)
		}
		w.settle()
		is(`{"n":3}`, true)
		change(two, `null`, nil)
		is("", true)
		one.close()
		if err := a.Change(hall, one.id, nil, &no); room.AsError(err).Code != room.CodeBadRequest {
			t.Errorf("change of a connection that is not present: %v", err)
		}
	})
}

// PRES-3
func TestCheckData(t *testing.T) {
	keys := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`"k%d":[{}]`, i))
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, c := range []struct {
		data string
		want room.Code
	}{
		{`{}`, ""}, {`null`, ""}, {` {"__proto__":{"constructor":[1,"a",null,true]}} `, ""},
		{keys(64), ""}, {keys(65), room.CodeLimitExceeded}, {nested(8), ""}, {nested(9), room.CodeLimitExceeded},
		{`{"a":"` + strings.Repeat("x", 4096-8) + `"}`, ""}, {`{"a":"` + strings.Repeat("x", 4096-7) + `"}`, room.CodeMessageTooLarge},
		{`[]`, room.CodeBadData}, {`1`, room.CodeBadData}, {`"a"`, room.CodeBadData}, {`{`, room.CodeBadData}, {``, room.CodeBadData},
		{`{"a":1}{}`, room.CodeBadData}, {"{\"a\":\"\xff\"}", room.CodeBadData},
		{`{"a":{"b":1,"c":[{"d":1},{"d":1}]}}`, ""},
	} {
		_, err := CheckData([]byte(c.data))
		if got := room.AsError(err); err == nil && c.want != "" || err != nil && got.Code != c.want {
			t.Errorf("%.60s: %v, want %q", c.data, err, c.want)
		}
	}
}

// What changes at once comes in one update, and the next not within 250 ms (PRES-6); the digest is what PRES-5 says.
func TestCoalescedWithDigest(t *testing.T) {
	inWorld(t, 1, nil, func(w *world, nodes []*node) {
		a := nodes[0]
		before := a.frames
		for i := range 100 {
			a.open(fmt.Sprintf("u%d", i%50))
			sleep(10 * time.Millisecond)
		}
		w.settle()
		if n := a.frames - before; n < 4 || n > 6 {
			t.Errorf("%d updates of a second", n)
		}
		var want uint32
		for _, user := range a.users() {
			h := fnv.New32a()
			fmt.Fprintf(h, "%s\n%s", user, a.member(user).Since)
			want ^= h.Sum32()
		}
		got := a.frame()
		if got.Digest != fmt.Sprintf("%08x", want) || got.Users != 50 || got.Connections != 100 || got.Counts || got.Stale {
			t.Errorf("about %+v, want digest %08x", got, want)
		}
	})
}

// A room above the size shows counts alone, once a second, and names again when it is small enough (PRES-7).
func TestCounts(t *testing.T) {
	inWorld(t, 1, func(c *Config) { c.Names = 10 }, func(w *world, nodes []*node) {
		a := nodes[0]
		var open []*tab
		for i := range 11 {
			open = append(open, a.open(fmt.Sprintf("u%02d", i)))
		}
		w.settle()
		if got := a.frame(); !got.Counts || got.Users != 11 || got.Connections != 11 || got.Digest != "" || len(a.users()) != 0 {
			t.Errorf("about %+v, users %v", got, a.users())
		}
		page, err := a.Page(w.t.Context(), hall, "u03", 3)
		if err != nil || page.Users != 11 || len(page.Members) != 3 || page.Next != "u06" { // PRES-14
			t.Errorf("page %+v, %v", page, err)
		}
		open[0].close()
		sleep(6 * time.Second)
		if got := a.frame(); !got.Counts || got.Users != 10 {
			t.Errorf("a little below: %+v", got)
		}
		open[1].close()
		sleep(6 * time.Second)
		if got := a.frame(); got.Counts || got.Users != 9 || len(a.users()) != 9 {
			t.Errorf("below: %+v, users %v", got, a.users())
		}
	})
}

// PRES-8
func TestPolicy(t *testing.T) {
	show := room.ShowNone
	inWorld(t, 1, func(c *Config) { c.Policy = func(room.ID) room.Show { return show } }, func(w *world, nodes []*node) {
		a := nodes[0]
		a.open("u1")
		w.settle()
		a.sees()
		if page, err := a.Page(w.t.Context(), hall, "", 10); err != nil || page.Users != 0 || len(page.Members) != 0 {
			t.Errorf("page %+v, %v", page, err)
		}
		show = room.ShowCounts
		a.open("u2")
		w.settle()
		a.sees()
		if got := a.frame(); !got.Counts || got.Users != 1 {
			t.Errorf("counts %+v", got)
		}
		if page, err := a.Page(w.t.Context(), hall, "", 10); err != nil || page.Users != 1 || len(page.Members) != 0 {
			t.Errorf("page %+v, %v", page, err)
		}
		for _, c := range []struct {
			show room.Show
			sees []string
		}{{room.ShowAll, []string{"u2"}}, {room.ShowNone, nil}, {room.ShowAll, []string{"u2"}}, {room.ShowCounts, nil}} { // nobody comes or goes
			show = c.show
			a.Again()
			sleep(2 * time.Second)
			a.sees(c.sees...)
		}
	})
}

func TestPages(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		b.Unneeded(hall)
		var want []string
		for i := range 25 {
			user := fmt.Sprintf("u%02d", i)
			want = append(want, user)
			nodes[i%2].open(user)
		}
		w.settle()
		a.Unneeded(hall)
		sleep(time.Minute)
		for _, n := range nodes { // nobody follows it: the page asks
			var got []string
			for after, more := "", true; more; {
				page, err := n.Page(w.t.Context(), hall, after, 10)
				if err != nil || page.Users != 25 || page.Connections != 25 || page.Stale {
					t.Fatalf("page %+v, %v", page, err)
				}
				for _, text := range page.Members {
					var m Member
					if err := json.Unmarshal(text, &m); err != nil {
						t.Fatal(err)
					}
					got = append(got, m.User)
				}
				after, more = page.Next, page.Next != ""
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v", n.name, got)
			}
		}
	})
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		word string
	}{
		{Config{}, ""},
		{Config{Grace: 11 * time.Second}, "--presence-grace"},
		{Config{Grace: time.Minute, Lease: 2 * time.Minute}, ""},
		{Config{Lease: 500 * time.Millisecond}, "--presence-lease"},
		{Config{Renew: 10 * time.Second}, "--presence-lease"},
		{Config{Renew: 6 * time.Second}, "--presence-lease"},
		{Config{Coalesce: time.Millisecond}, "--presence-coalesce"},
		{Config{Coalesce: 6 * time.Second}, "--presence-grace"},
		{Config{Names: -1}, "--presence-names"},
	} {
		err := c.cfg.Validate()
		if (err == nil) != (c.word == "") || err != nil && !strings.Contains(err.Error(), c.word) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.word)
		}
	}
}
