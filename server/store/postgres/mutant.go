//go:build mutant

package postgres

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing/fstest"
)

//go:embed migrations/*.sql
var embedded embed.FS

// mutants are faults that the store suite must catch, as edits of the schema: `make mutants` runs it
// against each. They exist only in builds with the tag mutant.
var mutants = map[string][]string{
	// Seqs from max(seq) + 1, with neither the row lock nor the unique keys that would stop two of the same.
	"max_seq": {
		"where r.name = any (p_names) order by r.name for update;", "where r.name = any (p_names) order by r.name;",
		"where r.name = any (p_names) order by r.name for update skip locked) x", "where r.name = any (p_names) order by r.name) x",
		"select r.name, r.id, r.ctid, r.generation, r.head,", "select r.name, r.id, r.ctid, r.generation, coalesce((select max(e.seq) from roomlog.events e where e.room = r.id), 0) as head,",
		"if moved <> (", "if false and moved <> (",
		"data   text collate \"C\" not null,      -- not json: it is given back byte by byte\n  primary key (room, seq)",
		"data   text collate \"C\" not null, check (seq > 0)",
		"create unique index events_tag", "create index events_tag",
	},
	// The counter moves for every send, before its tag is looked up: a retry burns a seq.
	"bump_first": {
		"case when s.stored then s.number end order by s.n", "case when s.stored then p_places[s.n] end order by s.n",
		"where s.number is not null group by 1) s on", "group by 1) s on",
	},
	// A tag belongs to the room, not to its author: whoever repeats another's tag is given, or refused by, an event
	// that is not theirs.
	"no_author": {
		"x.room = ids[s.room] and x.author = s.author limit 1) e", "x.room = ids[s.room] limit 1) e",
		"create unique index events_tag on roomlog.events (tag, room, author)", "create unique index events_tag on roomlog.events (tag, room)",
	},
	// A tag is known to the node that stored it: who repeats it at another has it stored again.
	"dedupe_local": {
		"data   text collate \"C\" not null,      -- not json: it is given back byte by byte\n",
		"data   text collate \"C\" not null,\n  node   text not null default current_setting('application_name'),\n",
		"x.room = ids[s.room] and x.author = s.author limit 1) e", "x.room = ids[s.room] and x.author = s.author and x.node = current_setting('application_name') limit 1) e",
		"create unique index events_tag on roomlog.events (tag, room, author)", "create unique index events_tag on roomlog.events (tag, room, author, node)",
	},
	// A delete leaves what the message's edits say.
	"edits_stay": {
		"e.target = p_seq and e.type = 'edit');", "e.target = p_seq and e.type = 'edit' and false);",
	},
	// A compare-and-set sets without comparing.
	"compare_blind": {
		"if c.if_seq = 0 and k.old is not null or c.if_seq > 0 and k.seq > c.if_seq then",
		"if false and (c.if_seq = 0 and k.old is not null or c.if_seq > 0 and k.seq > c.if_seq) then",
	},
	// Of what one batch sets, the first wins: the lower seq.
	"state_order": {
		"where p_numbers[x.n] is not null order by x.n\n  loop\n    select * into was", "where p_numbers[x.n] is not null order by x.n desc\n  loop\n    select * into was",
	},
	// Faults of other packages, of servers with this store.
	"bus_blind": {}, "hint_trusted": {}, "revoke_local": {}, "redact_local": {},
	"leave_any": {}, "presence_generation": {}, "feed_open": {}, "member_later": {}, "part_anywhere": {},
	"fold_thin": {}, "dead_untold": {}, "docs_untold": {}, "deletes_known": {}, "pending_lost": {}, "memory_trusted": {},
}

// epochKept is the mutant that finds a copy or a restore and goes on as if nothing had happened.
const epochKept = "epoch_kept"

func mutateFork(why string) string {
	if os.Getenv("ROOMLOG_MUTANT") == epochKept {
		return ""
	}
	return why
}

// migrations are the files of the schema, with the fault that ROOMLOG_MUTANT names.
func migrations() (fs.FS, error) {
	name := os.Getenv("ROOMLOG_MUTANT")
	if name == epochKept {
		return fs.Sub(embedded, "migrations")
	}
	edits, known := mutants[name]
	if !known {
		return nil, fmt.Errorf("ROOMLOG_MUTANT=%q is no mutant of this store: max_seq, bump_first, no_author, dedupe_local, edits_stay, compare_blind, state_order, epoch_kept", name)
	}
	files, made := fstest.MapFS{}, make([]bool, len(edits))
	all, err := fs.Glob(embedded, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	for _, file := range all {
		data, err := fs.ReadFile(embedded, file)
		if err != nil {
			return nil, err
		}
		text := string(data)
		for i := 0; i < len(edits); i += 2 { // a later file may have the function anew
			if n := strings.Count(text, edits[i]); n > 1 {
				return nil, fmt.Errorf("mutant %s: %q is more than once in %s", name, edits[i], file)
			} else if n == 1 {
				text, made[i] = strings.Replace(text, edits[i], edits[i+1], 1), true
			}
		}
		files[path.Base(file)] = &fstest.MapFile{Data: []byte(text)}
	}
	for i := 0; i < len(edits); i += 2 {
		if !made[i] {
			return nil, fmt.Errorf("mutant %s: %q is not in the schema", name, edits[i])
		}
	}
	return files, nil
}
