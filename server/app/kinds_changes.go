package app

import (
	"time"

	"roomlog/server/room"
)

// ChangesConfig says who may change the messages of a kind (rule CHG-4).
type ChangesConfig struct {
	Edit      string        `yaml:"edit,omitempty"`      // own (the default), moderators or off
	Delete    string        `yaml:"delete,omitempty"`    // likewise
	Within    time.Duration `yaml:"within,omitempty"`    // for how long authors may; 0: at any time
	Reactions string        `yaml:"reactions,omitempty"` // on (the default) or off
}

// changers are the values of Edit and Delete.
var changers = map[string]room.Changers{
	"": room.ByAuthors, "own": room.ByAuthors, "moderators": room.ByModerators, "off": room.ByNobody,
}

// longestWithin is the most that Within may be: more is as good as none.
const longestWithin = 10 * 365 * 24 * time.Hour

func (c ChangesConfig) validate(at string) error {
	if _, known := changers[c.Edit]; !known {
		return configErrorf("%s.edit is own, moderators or off, not %q", at, c.Edit)
	}
	if _, known := changers[c.Delete]; !known {
		return configErrorf("%s.delete is own, moderators or off, not %q", at, c.Delete)
	}
	switch {
	case c.Reactions != "" && c.Reactions != "on" && c.Reactions != "off":
		return configErrorf("%s.reactions is on or off, not %q", at, c.Reactions)
	case c.Within != 0 && c.Within < time.Second || c.Within > longestWithin:
		return configErrorf("%s.within is from 1s to 3650d, such as 15m or 24h; leave it out for any time", at)
	}
	return nil
}

func (c ChangesConfig) policy() room.Changes {
	return room.Changes{
		Edit: changers[c.Edit], Delete: changers[c.Delete], Within: c.Within, NoReactions: c.Reactions == "off",
	}
}
