package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// What a kind says of changes is taken as it says, or refused by one sentence that says what to set.
func TestChangesOfAKind(t *testing.T) {
	for _, c := range []struct {
		config ChangesConfig
		want   room.Changes
		wrong  string
	}{
		{config: ChangesConfig{}},
		{config: ChangesConfig{Edit: "own", Delete: "own", Reactions: "on"}},
		{config: ChangesConfig{Edit: "moderators", Delete: "off", Within: time.Hour, Reactions: "off"}, want: room.Changes{
			Edit: room.ByModerators, Delete: room.ByNobody, Within: time.Hour, NoReactions: true,
		}},
		{config: ChangesConfig{Edit: "all"}, wrong: "kinds.chat.changes.edit is own, moderators or off"},
		{config: ChangesConfig{Delete: "on"}, wrong: "kinds.chat.changes.delete is own, moderators or off"},
		{config: ChangesConfig{Within: 30}, wrong: "kinds.chat.changes.within is from 1s"},
		{config: ChangesConfig{Within: -time.Hour}, wrong: "kinds.chat.changes.within is from 1s"},
		{config: ChangesConfig{Reactions: "yes"}, wrong: "kinds.chat.changes.reactions is on or off"},
	} {
		cfg := Config{Key: testKey, Origins: []string{"none"}, Kinds: Kinds{"chat": {Changes: c.config}}}.withDefaults()
		err := cfg.validate()
		var bad *ConfigError
		switch {
		case c.wrong != "":
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%+v: %v", c.config, err)
			}
		case err != nil:
			t.Errorf("%+v: %v", c.config, err)
		default:
			if got := cfg.policies()["chat"].Changes; got != c.want {
				t.Errorf("%+v: %+v", c.config, got)
			}
		}
	}
}
