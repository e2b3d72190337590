package room

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxUser is the most bytes of a user name.
const MaxUser = 128

// ServicePrefix begins the name under which a service acts for itself. No user has such a name (rule AUTH-2).
const ServicePrefix = "service:"

// ValidUser reports whether a text may be the name of a user (rule AUTH-2): 1 to 128 bytes of UTF-8 without control
// characters that do not begin with `service:`. U+FFFD is refused, since JSON that is not Unicode is read as if it had that,
// and two users would be one; `.` and `..` are, since clients and proxies take them for steps, so that no path could name
// their user.
func ValidUser(name string) bool {
	return name != "" && len(name) <= MaxUser && plain(name) && !strings.HasPrefix(name, ServicePrefix) && name != "." && name != ".."
}

// plain reports whether a text is UTF-8 without control characters, and none that stands for what could not be read.
func plain(s string) bool {
	return !strings.ContainsRune(s, utf8.RuneError) && !strings.ContainsFunc(s, unicode.IsControl)
}
