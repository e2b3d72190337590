//go:build unix

package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// shared is the one server of a test process that needs no server of its own.
var shared struct {
	once   sync.Once
	server *Server // nil where the environment names a server
	base   *pgx.ConnConfig
	err    error
	names  atomic.Int64

	template sync.Mutex
	prepared bool // the template is there
}

// template is the database that copies are made of.
func template() string { return fmt.Sprintf("roomlog_template_%d", os.Getpid()) }

// Env names a running server, as a DSN of a user who may create databases. With it, all packages of a
// test run share that server; without it, each test process starts one.
const Env = "ROOMLOG_TEST_POSTGRES"

// Main runs the tests of a package and stops the shared server: func TestMain(m *testing.M) { pgtest.Main(m) }.
// Without it the server ends with the process, but its folder stays.
func Main(m *testing.M) {
	code := m.Run()
	if shared.prepared && shared.server == nil {
		if err := run("drop database if exists " + template()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// DB makes a database for one test and gives its DSN. It is dropped when the test ends, whoever is still
// connected. Where there is no PostgreSQL, the test fails and says how to get it.
func DB(t testing.TB) string {
	t.Helper()
	return create(t, "template0")
}

// Copy makes one like DB does, with what prepare makes in the first one that is asked for in this process: a schema, which takes longer to
// make than to copy. prepare ends all its connections.
func Copy(t testing.TB, prepare func(dsn string) error) string {
	t.Helper()
	shared.once.Do(startShared)
	shared.template.Lock()
	defer shared.template.Unlock()
	if !shared.prepared && shared.err == nil {
		do(t, "create database "+template()+" template template0")
		if err := prepare(dsn(shared.base, template())); err != nil {
			t.Fatal(err)
		}
		shared.prepared = true
	}
	return create(t, template())
}

func create(t testing.TB, from string) string {
	t.Helper()
	shared.once.Do(startShared)
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	name := fmt.Sprintf("roomlog_test_%d_%d", os.Getpid(), shared.names.Add(1))
	do(t, "create database "+name+" template "+from)
	t.Cleanup(func() { do(t, "drop database if exists "+name+" with (force)") })
	return dsn(shared.base, name)
}

func startShared() {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	address := os.Getenv(Env)
	if address == "" {
		if shared.server, shared.err = Start(ctx, Options{}); shared.err != nil {
			return
		}
		address = shared.server.DSN("")
	}
	shared.base, shared.err = pgx.ParseConfig(address)
}

// dsn is the address of another database of the server of base.
func dsn(base *pgx.ConnConfig, db string) string {
	// A machine that is busy is given time: what a store does with a server that does not answer is tested with servers of its own.
	query := url.Values{"sslmode": {"disable"}, "connect_timeout": {"30"}, "host": {base.Host}, "port": {strconv.Itoa(int(base.Port))}}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(base.User, base.Password), Path: "/" + db, RawQuery: query.Encode()}
	return u.String()
}

// do runs one statement on the maintenance database.
func do(t testing.TB, statement string) {
	t.Helper()
	if err := run(statement); err != nil {
		t.Fatal(err)
	}
}

func run(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, shared.base)
	if err != nil {
		return fmt.Errorf("connect to the test server: %w", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
