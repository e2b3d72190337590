package transport

import (
	"net/netip"
	"testing"

	"roomlog/server/room"
)

// One address that says hello on none of its connections leaves room for the others (HTTP-9).
func TestStrangersOfOneAddressLeaveRoom(t *testing.T) {
	q := newQuotas(Limits{Unauthenticated: 40}.withDefaults())
	hostile, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	var seats []*seat
	for {
		s, err := q.arrive(hostile, true)
		if err != nil {
			if e := room.AsError(err); e.Code != room.CodeOverloaded || e.RetryAfter == 0 {
				t.Error(err)
			}
			break
		}
		seats = append(seats, s)
	}
	if len(seats) != 10 {
		t.Errorf("one address holds %d of 40 places, want a quarter", len(seats))
	}
	if _, err := q.arrive(other, true); err != nil {
		t.Error("another address:", err)
	}
	if err := q.name(seats[0], "u1"); err != nil { // a hello gives the place back
		t.Fatal(err)
	}
	q.leave(seats[1]) // and so does the end
	for range 2 {
		if _, err := q.arrive(hostile, true); err != nil {
			t.Error(err)
		}
	}
	if _, err := q.arrive(hostile, true); err == nil {
		t.Error("more than two places were free")
	}
}
