package app

import "roomlog/server/room"

// DocsConfig says whether the rooms of a kind have documents, and how large (rule DOC-8).
type DocsConfig struct {
	Allow string `yaml:"allow,omitempty"` // on (the default) or off
	Bytes int    `yaml:"bytes,omitempty"` // of one document; default 33,554,432, which is the most
	Count int    `yaml:"count,omitempty"` // of documents in a room; default 100
}

func (c DocsConfig) validate(at string) error {
	switch {
	case c.Allow != "" && c.Allow != "on" && c.Allow != "off":
		return configErrorf("%s.allow is on or off, not %q", at, c.Allow)
	case c.Bytes < 0 || c.Bytes > room.DocBytes:
		return configErrorf("%s.bytes is from 1 to %d", at, room.DocBytes)
	case c.Count < 0 || c.Count > room.MostDocCount:
		return configErrorf("%s.count is from 1 to %d", at, room.MostDocCount)
	}
	return nil
}

func (c DocsConfig) policy() room.DocPolicy {
	return room.DocPolicy{Off: c.Allow == "off", Bytes: c.Bytes, Count: c.Count}
}
