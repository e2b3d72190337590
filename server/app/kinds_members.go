package app

import (
	"maps"
	"regexp"
	"slices"

	"roomlog/server/room"
)

// roleName is the grammar of a role: it stands in events, answers and logs.
var roleName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// validateMembers names what is wrong with who may come in. at is the key of the kind.
func (c KindConfig) validateMembers(at string) error {
	switch {
	case c.Access != "" && c.Access != accessGrants && c.Access != accessMembers:
		return configErrorf("%s.access is grants or members, not %q", at, c.Access)
	case c.History != "" && c.History != historyAll && c.History != historyJoined:
		return configErrorf("%s.history is all or joined, not %q", at, c.History)
	case c.History == historyJoined && c.Access != accessMembers:
		return configErrorf("%s.history: joined is about members: it needs access: members beside it", at)
	case c.Creator != "" && c.Access != accessMembers:
		return configErrorf("%s.creator is about members: it needs access: members beside it", at)
	case c.Roles != nil && len(c.Roles) == 0:
		return configErrorf("%s.roles has no role; leave it out to have owner, moderator, member and guest", at)
	}
	for _, role := range slices.Sorted(maps.Keys(c.Roles)) {
		if !roleName.MatchString(role) {
			return configErrorf("%s.roles: %q is not a role; one is a-z, 0-9, _ and -, begins with a letter and has at most 32 characters", at, role)
		}
		for _, action := range c.Roles[role] {
			if !room.ValidAction(action) {
				return configErrorf("%s.roles.%s is a list of read, send, moderate and admin, not %q", at, role, action)
			}
		}
	}
	p := room.Policy{Roles: c.Roles, Creator: c.Creator}
	if c.Access == accessMembers && !p.RoleAllows(p.CreatorRole(), "read") {
		return configErrorf("%s.creator names the role of who creates a room, one of roles that may read; %q is none", at, p.CreatorRole())
	}
	return nil
}
