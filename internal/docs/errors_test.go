package docs

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"roomlog/spec"
)

var update = flag.Bool("update", false, "write docs/errors.md, and the files shown in other pages, anew")

const errorsPage = "docs/errors.md"

// listed is a code in spec/errors.json. Those that the client makes have no status.
type listed struct {
	Code, Title, Cause, Cure string
	Status                   int
	Close                    *int
	Retryable                bool
}

// docs/errors.md says of every code what spec/errors.json says.
func TestErrorsPageIsThatOfTheSpec(t *testing.T) {
	var file struct {
		Codes        []listed
		ClientCodes  []listed                         `json:"client_codes"`
		ResetReasons []struct{ Reason, Cause string } `json:"reset_reasons"`
		CloseCodes   []struct {
			Code  int
			Name  string
			Retry bool
		} `json:"close_codes"`
	}
	if err := json.Unmarshal(spec.Errors, &file); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	out.WriteString(errorsHead)
	for _, c := range file.Codes {
		out.WriteString(c.section())
	}
	out.WriteString(clientHead)
	for _, c := range file.ClientCodes {
		out.WriteString(c.section())
	}
	out.WriteString(resetHead)
	for _, r := range file.ResetReasons {
		fmt.Fprintf(&out, "| `%s` | %s |\n", r.Reason, r.Cause)
	}
	out.WriteString(closeHead)
	for _, c := range file.CloseCodes {
		fmt.Fprintf(&out, "| %d | `%s` | %s |\n", c.Code, c.Name, map[bool]string{true: "yes", false: "no"}[c.Retry])
	}
	out.WriteString(errorsFoot)
	if *update {
		if err := os.WriteFile(filepath.Join(root, errorsPage), []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if read(t, errorsPage) != out.String() {
		t.Errorf("%s is not what spec/errors.json says; `go test ./internal/docs -update` writes it anew", errorsPage)
	}
}

func (c listed) section() string {
	retry := "a retry does not help"
	if c.Retryable {
		retry = "a retry may help"
	}
	how := "made by the client"
	if c.Status != 0 {
		how = fmt.Sprintf("HTTP %d", c.Status)
	}
	if c.Close != nil {
		how += fmt.Sprintf(" · close %d", *c.Close)
	}
	return fmt.Sprintf("### %s\n\n%s\n\n**Cause.** %s\n\n**Cure.** %s\n\n%s · %s\n\n", c.Code, c.Title, c.Cause, c.Cure, how, retry)
}

const errorsHead = `# Errors

For whoever has an error code before them. This page is written from [spec/errors.json](../spec/errors.json) by
` + "`go test ./internal/docs -update`" + `; the running server shows the same at ` + "`/errors`" + `, and every error links there:

- in TypeScript, a ` + "`RoomlogError`" + ` has ` + "`code`" + `, a ` + "`message`" + ` for a person, ` + "`retryable`" + `, and ` + "`docs`" + ` (` + "`/errors#CODE`" + `, a path on the server);
- over HTTP, a problem (` + "`application/problem+json`" + `) has ` + "`code`, `title`, `retryable`, `request_id`" + ` and the same path as its ` + "`type`" + `;
- on a WebSocket, an ` + "`error`" + ` frame has ` + "`code`, `title`, `retryable`" + ` and the ` + "`id`" + ` of what it answers.

Programs look at ` + "`code`" + `; where they do not know it, at ` + "`retryable`" + `. ` + "`retry_after_ms`" + ` (` + "`retryAfterMs`" + `) is how long to wait at
least. The title is for people and may be worded otherwise in the next version. Quote the request id to whoever runs the server: its log has it.

The TypeScript client retries by itself what may be retried. What it shows as failed was refused for good, or waits for a person.

## Codes of the server

`

const clientHead = `## Codes of the client

The TypeScript client makes these itself, for what no server answered. It also uses ` + "[`message_too_large`](#message_too_large) and [`reset`](#reset)" + `
where it sees by itself what the server would say. A close without an error is ` + "`network`" + `, or the code that the close names.

`

const resetHead = `## Why a reset

The ` + "`reason`" + ` of a [reset](concepts.md#reset):

| reason | cause |
|---|---|
`

const closeHead = `
## Close codes of a WebSocket

| code | name | come back |
|---|---|---|
`

const errorsFoot = `
## Where next

- [concepts.md](concepts.md): what tags, positions and resets are
- [operations.md](operations.md): limits, logs and health, for whoever runs the server
- [spec/PROTOCOL.md](../spec/PROTOCOL.md): the rules ERR, CLOSE and RESET
`
