package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// lineAsks is how long the line may be quiet before it is asked whether somebody is there, and lineAnswers how long that
	// may take: a database, or a network, that just falls silent is noticed too.
	lineAsks    = 2 * time.Second
	lineAnswers = 2 * time.Second
	// lineAgain is when a line that was lost is made again.
	lineAgain = 250 * time.Millisecond
)

// attend keeps a line to the database: a connection that no call uses, on which nothing is said. When it ends, the
// database has gone, for all that is known, and the connections of the pool are not worth trying; when there is one again,
// whoever waits for Changed looks at what happened meanwhile, in rooms that nobody else would ask about, too. conn is the
// first line. It ends with ctx.
func (s *Store) attend(ctx context.Context, conn *pgx.Conn, cfg *pgx.ConnConfig) {
	for {
		err := listen(ctx, conn)
		hangUp(conn)
		if ctx.Err() != nil {
			return
		}
		s.ground.log.Warn("the database does not answer any more", "error", err)
		s.pool.Reset()
		if conn = s.callAgain(ctx, cfg); conn == nil {
			return
		}
		s.ground.log.Info("the database is back")
		s.pool.Reset() // some may have been made as it went
		s.ground.tell()
	}
}

// listen returns when the line is lost, and why, or when ctx ends.
func listen(ctx context.Context, conn *pgx.Conn) error {
	for {
		quiet, cancel := context.WithTimeout(ctx, lineAsks)
		_, err := conn.WaitForNotification(quiet)
		over := quiet.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!over || conn.IsClosed()):
			return err
		}
		asked, cancel := context.WithTimeout(ctx, lineAnswers)
		err = conn.Ping(asked)
		cancel()
		if err != nil {
			return err
		}
	}
}

// callAgain makes a new line, and judges where it leads; nil: ctx has ended.
func (s *Store) callAgain(ctx context.Context, cfg *pgx.ConnConfig) *pgx.Conn {
	for {
		conn, err := pgx.ConnectConfig(ctx, cfg.Copy())
		if err == nil {
			if err = s.ground.judge(ctx, conn); err == nil {
				return conn
			}
			hangUp(conn)
		}
		again := time.NewTimer(lineAgain)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil
		case <-again.C:
		}
	}
}

// hangUp ends a line, politely where it still takes that.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), lineAnswers)
	defer cancel()
	_ = conn.Close(ctx) // it may be lost already
}
