package docs

import (
	"encoding/json"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	block = regexp.MustCompile("(?ms)^```([a-z]+)([^\n]*)\n(.*?)^```$")
	shows = regexp.MustCompile(`file=(\S+)`)
)

// forUsers are the documents whose code people copy. TypeScript and JavaScript in them is compiled by a test in
// client/, Python by one in e2e/examples.
func forUsers(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md", "client/README.md"}
	for _, name := range documents(t) {
		if filepath.Dir(name) == "docs" {
			names = append(names, name)
		}
	}
	return names
}

// A block that names a file shows the whole of it; the file is run by a test.
func TestPagesShowTheFilesThatAreRun(t *testing.T) {
	for _, name := range forUsers(t) {
		text := read(t, name)
		want := block.ReplaceAllStringFunc(text, func(found string) string {
			parts := block.FindStringSubmatch(found)
			file := shows.FindStringSubmatch(parts[2])
			if file == nil {
				return found
			}
			return fmt.Sprintf("```%s%s\n%s```", parts[1], parts[2], read(t, file[1]))
		})
		if *update {
			if err := os.WriteFile(filepath.Join(root, name), []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if text != want {
			t.Errorf("%s does not show the files that it names; `go test ./internal/docs -update` writes it anew", name)
		}
	}
}

// What is shown of JSON, shell and Go can be read by those who read such things.
func TestBlocksAreWellFormed(t *testing.T) {
	for _, name := range forUsers(t) {
		for _, found := range block.FindAllStringSubmatch(read(t, name), -1) {
			language, info, code := found[1], found[2], found[3]
			if err := wellFormed(language, info, code); err != nil {
				t.Errorf("%s: a block of %s: %v\n%s", name, language, err, code)
			}
		}
	}
}

func wellFormed(language, info, code string) error {
	switch language {
	case "json":
		// `…` stands for what is left out, in place of a value or within a text.
		whole := regexp.MustCompile(`([\[{])…([\]}])`).ReplaceAllString(code, "$1$2")
		if !json.Valid([]byte(whole)) {
			return fmt.Errorf("it is not JSON")
		}
	case "sh", "bash":
		cmd := exec.Command("bash", "-n")
		cmd.Stdin = strings.NewReader(code)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("bash -n: %s", out)
		}
	case "go":
		// One that shows a file is built with it; others are parts of a program.
		formatted, err := format.Source([]byte(code))
		if err != nil {
			return err
		}
		if string(formatted) != code && shows.MatchString(info) {
			return fmt.Errorf("it is not as gofmt has it")
		}
	case "ts", "tsx", "js", "html", "python", "yaml", "mermaid", "sql":
	default:
		return fmt.Errorf("no test looks at this language")
	}
	return nil
}

// A block that is wrong is found.
func TestWhatIsMalformedIsFound(t *testing.T) {
	for language, code := range map[string]string{"json": "{", "sh": "if true; then", "go": "func f( {", "cobol": "MOVE"} {
		if wellFormed(language, "", code) == nil {
			t.Errorf("%s: %q passes", language, code)
		}
	}
}
