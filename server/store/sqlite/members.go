package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"roomlog/server/room"
)

const (
	selectMember = `select r.name, m.who, m.role, m.since_seq, m.at from rooms r join members m on m.room = r.id `
	// selectMemberships begins with the user: a database has more rooms than one user.
	selectMemberships = `select r.name, m.who, m.role, m.since_seq, m.at from members m cross join rooms r on r.id = m.room
		where m.who = ?1 and r.name > ?2 order by r.name limit ?3 + 0`
)

func (r *reader) prepareMembers(ctx context.Context) error {
	return errors.Join(
		r.prepare(ctx, selectMember+`where r.name = ?1 and m.who = ?2`, &r.member),
		r.prepare(ctx, selectMember+`where r.name = ?1 and m.who > ?2 order by m.who limit ?3 + 0`, &r.members),
		r.prepare(ctx, selectMemberships, &r.memberships),
	)
}

// Member is [room.Members.Member]. ctx bounds the wait for a connection.
func (s *Store) Member(ctx context.Context, id room.ID, user string) (m room.Member, found bool, err error) {
	err = s.read(ctx, func(r *reader) error {
		list, err := membersIn(r.member.QueryContext(background, string(id), user))
		if found = len(list) > 0; found {
			m = list[0]
		}
		return err
	})
	return m, found, err
}

// ListMembers is [room.Members.ListMembers]. ctx bounds the wait for a connection.
func (s *Store) ListMembers(ctx context.Context, id room.ID, after string, limit int) (list []room.Member, err error) {
	err = s.read(ctx, func(r *reader) error {
		list, err = membersIn(r.members.QueryContext(background, string(id), after, limit))
		return err
	})
	return list, err
}

// Memberships is [room.Members.Memberships]. ctx bounds the wait for a connection.
func (s *Store) Memberships(ctx context.Context, user string, after room.ID, limit int) (list []room.Member, err error) {
	err = s.read(ctx, func(r *reader) error {
		list, err = membersIn(r.memberships.QueryContext(background, user, string(after), limit))
		return err
	})
	return list, err
}

func membersIn(rows *sql.Rows, err error) ([]room.Member, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []room.Member
	for rows.Next() {
		var m room.Member
		var at int64
		if err := rows.Scan(&m.Room, &m.User, &m.Role, &m.Since, &at); err != nil {
			return nil, err
		}
		m.At = time.UnixMicro(at).UTC()
		list = append(list, m)
	}
	return list, rows.Err()
}

var _ room.Members = (*Store)(nil)
