package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

const memberColumns = `select r.name, m.who, m.role, m.since_seq, m.at from roomlog.rooms r join roomlog.members m on m.room = r.id`

const (
	memberSQL      = memberColumns + ` where r.name = $1 and m.who = $2`
	listMembersSQL = memberColumns + ` where r.name = $1 and m.who > $2 order by m.who limit $3`
	// membershipsSQL reads all rooms of the user and sorts them: names are not in the index.
	membershipsSQL = memberColumns + ` where m.who = $1 and r.name > $2 order by r.name limit $3`
)

// Member is [room.Members.Member].
func (s *Store) Member(ctx context.Context, id room.ID, user string) (room.Member, bool, error) {
	list, err := s.members(ctx, memberSQL, string(id), user)
	if err != nil || len(list) == 0 {
		return room.Member{}, false, err
	}
	return list[0], true, nil
}

// ListMembers is [room.Members.ListMembers].
func (s *Store) ListMembers(ctx context.Context, id room.ID, after string, limit int) ([]room.Member, error) {
	return s.members(ctx, listMembersSQL, string(id), after, limit)
}

// Memberships is [room.Members.Memberships].
func (s *Store) Memberships(ctx context.Context, user string, after room.ID, limit int) ([]room.Member, error) {
	return s.members(ctx, membershipsSQL, user, string(after), limit)
}

func (s *Store) members(ctx context.Context, sql string, args ...any) (list []room.Member, err error) {
	err = s.query(ctx, sql, args, func(rows pgx.Rows) error {
		list = nil
		for rows.Next() {
			var m room.Member
			if err := rows.Scan(&m.Room, &m.User, &m.Role, &m.Since, &m.At); err != nil {
				return err
			}
			m.At = m.At.UTC()
			list = append(list, m)
		}
		return nil
	})
	return list, err
}

var _ room.Members = (*Store)(nil)
