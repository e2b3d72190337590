package auth

import "testing"

// The grant moderate is one of its own, and admin has it in it (CHG-4, AUTH-4).
func TestModerate(t *testing.T) {
	grants := func(rooms string, can ...Action) Grants { return Grants{{Rooms: rooms, Can: can}} }
	moderator, admin, sender := grants("chat:*", Read, Send, Moderate), grants("chat:*", Admin), grants("*", Read, Send)
	for _, c := range []struct {
		name      string
		got, want bool
	}{
		{"a moderator moderates", moderator.Allow(Moderate, "chat:a"), true},
		{"there alone", moderator.Allow(Moderate, "board:a"), false},
		{"and is no admin", moderator.Allow(Admin, "chat:a"), false},
		{"an admin moderates", admin.Allow(Moderate, "chat:a"), true},
		{"a sender does not", sender.Allow(Moderate, "chat:a"), false},
		{"everywhere", grants("*", Admin).Everywhere(Moderate), true},
		{"not everywhere", admin.Everywhere(Moderate), false},
		{"an admin may hand it on", admin.Covers(grants("chat:a", Moderate)), true},
		{"a sender may not", sender.Covers(grants("chat:a", Moderate)), false},
		{"nor a moderator admin", moderator.Covers(grants("chat:a", Admin)), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", c.name, c.got)
		}
	}
	if err := moderator.Check(); err != nil {
		t.Error(err)
	}
	if err := grants("*", "moderator").Check(); err == nil {
		t.Error("an action that is none was taken")
	}
}
