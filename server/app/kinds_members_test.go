package app

import (
	"errors"
	"strings"
	"testing"
)

// MEM-4, MEM-5, MEM-6: what a kind says of its members is taken, or refused by a sentence that names the key.
func TestKindsOfMembers(t *testing.T) {
	for name, c := range map[string]struct {
		kind KindConfig
		want string
	}{
		"members":             {KindConfig{Access: "members", History: "joined"}, ""},
		"grants":              {KindConfig{Access: "grants", History: "all"}, ""},
		"own roles":           {KindConfig{Access: "members", Creator: "host", Roles: map[string][]string{"host": {"read", "admin"}, "mute": {}}}, ""},
		"no such access":      {KindConfig{Access: "friends"}, "kinds.club.access"},
		"no such history":     {KindConfig{Access: "members", History: "none"}, "kinds.club.history"},
		"history of grants":   {KindConfig{History: "joined"}, "access: members"},
		"creator of grants":   {KindConfig{Creator: "owner"}, "access: members"},
		"no role":             {KindConfig{Access: "members", Roles: map[string][]string{}}, "kinds.club.roles"},
		"no such action":      {KindConfig{Access: "members", Roles: map[string][]string{"owner": {"read", "fly"}}}, "kinds.club.roles.owner"},
		"no name of a role":   {KindConfig{Access: "members", Roles: map[string][]string{"The Owner": {"read"}}}, "is not a role"},
		"nobody may create":   {KindConfig{Access: "members", Roles: map[string][]string{"host": {"read"}}}, "kinds.club.creator"},
		"a deaf creator":      {KindConfig{Access: "members", Creator: "host", Roles: map[string][]string{"host": {"send"}}}, "kinds.club.creator"},
		"no such a creator":   {KindConfig{Access: "members", Creator: "king"}, "kinds.club.creator"},
		"roles beside grants": {KindConfig{Roles: map[string][]string{"vip": {"read"}}}, ""},
	} {
		cfg := Config{Key: testKey, Origins: []string{"none"}, Kinds: Kinds{"club": c.kind}}.withDefaults()
		err := cfg.validate()
		var bad *ConfigError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!errors.As(err, &bad) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want a ConfigError with %q", name, err, c.want)
		}
	}
	p := Config{Kinds: Kinds{"club": {Access: "members", History: "joined", Creator: "owner"}, "chat": {}}}.policies()
	if !p["club"].Members || !p["club"].HistorySince || p["chat"].Members || p["chat"].HistorySince || p["club"].CreatorRole() != "owner" {
		t.Errorf("%+v", p)
	}
}
