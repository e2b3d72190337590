package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"time"

	"roomlog/server/room"
)

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Service is a program of the operator's, such as the application's own backend, that is known by a key
// and may act for users.
type Service struct {
	name   string
	grants Grants
	hash   [sha256.Size]byte // of the key, so that comparing takes as long whatever is compared
}

// NewService makes a service. It is an error where the name is not `[a-z][a-z0-9-]{0,31}`, the key is
// shorter than [MinKey] or holds white space, or the grants are malformed.
func NewService(name, key string, grants Grants) (Service, error) {
	if !serviceName.MatchString(name) {
		// Without what stands there: it may be the key.
		return Service{}, errors.New("a service is not named by a-z, 0-9 and -, beginning with a letter, at most 32")
	}
	if len(key) < MinKey || len(key) > maxToken {
		return Service{}, fmt.Errorf("the key of the service %s has %d bytes; it needs at least %d", name, len(key), MinKey)
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return Service{}, fmt.Errorf("the key of the service %s has a sign that no header carries", name)
		}
	}
	if err := grants.Check(); err != nil {
		return Service{}, fmt.Errorf("the service %s: %w", name, err)
	}
	return Service{name: name, grants: grants, hash: sha256.Sum256([]byte(key))}, nil
}

// Name is the name of the service.
func (s *Service) Name() string { return s.name }

// ActsAlone reports whether this is a service that acts for itself.
func (i *Identity) ActsAlone() bool { return i.Service != "" && i.User == room.ServicePrefix+i.Service }

// Services are the services of a server.
type Services []Service

// Find is the service of a key; nil where there is none. It takes the same time for every key of one length.
func (ss Services) Find(key string) *Service {
	if len(ss) == 0 || len(key) > maxToken {
		return nil
	}
	hash := sha256.Sum256([]byte(key))
	var found *Service
	for i := range ss {
		if subtle.ConstantTimeCompare(hash[:], ss[i].hash[:]) == 1 {
			found = &ss[i]
		}
	}
	return found
}

// never is when what does not end by itself ends.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// As is the service acting for a user, or for itself as `service:NAME` where user is "". It is an error
// to name what is no user (see [CheckUser]). What a service does for a user counts as issued now.
func (s *Service) As(user string) (*Identity, error) {
	if user == "" {
		user = room.ServicePrefix + s.name
	} else if err := CheckUser(user); err != nil {
		return nil, err
	}
	return &Identity{User: user, Service: s.name, Grants: s.grants, Until: never, IssuedAt: time.Now()}, nil
}
