package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

const (
	// Servers that start together take turns: else each would wait for the rows that the other has removed.
	lockKindsSQL  = `lock table roomlog.kinds in share row exclusive mode`
	clearKindsSQL = `delete from roomlog.kinds`
	putKindSQL    = `insert into roomlog.kinds (kind, types, event_bytes, frame_bytes, rooms_per_user, closed, state_keys, state_bytes)
		values ($1, $2, $3, $4, $5, nullif($6, ''), $7, $8)`
)

// PutKinds is [room.KindStore.PutKinds]. Appends that are under way are judged by the terms of before.
func (s *Store) PutKinds(ctx context.Context, terms []room.KindTerms) error {
	return s.transact(ctx, "put kinds", func(tx pgx.Tx) error {
		// Alone: all of a batch is prepared before any of it runs, and preparing a statement that writes locks its table too,
		// so that two servers would each hold what the other waits for.
		if _, err := tx.Exec(ctx, lockKindsSQL); err != nil {
			return err
		}
		var batch pgx.Batch
		batch.Queue(clearKindsSQL)
		for _, k := range terms {
			batch.Queue(putKindSQL, k.Kind, k.Types, k.EventBytes, k.FrameBytes, k.RoomsPerUser, k.Closed, k.StateKeys, k.StateBytes)
		}
		return tx.SendBatch(ctx, &batch).Close()
	})
}

var _ room.KindStore = (*Store)(nil)
