package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"

	"roomlog/server/app"
)

// configFile is the --config flag: a YAML file with one key per flag of the command. It gives values
// to flags that neither the command line nor the environment sets.
type configFile string

// folder is where the file's own relative paths start from; empty: there is no file.
func (f configFile) folder() string {
	if f == "" {
		return ""
	}
	return filepath.Dir(string(f))
}

// BeforeResolve reads the file once the command line has named it.
func (configFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	path, _ := ctx.FlagValue(trace.Flag).(configFile)
	return useConfig(ctx, string(path))
}

// useConfig adds the values of the file at path to what ctx resolves.
func useConfig(ctx *kong.Context, path string) error {
	values, err := readConfig(path)
	if err != nil {
		return err
	}
	known := configKeys(ctx.Selected())
	for key := range values {
		if !slices.Contains(known, key) {
			return fmt.Errorf("%s: unknown key %q%s", path, key, suggestion(key, known))
		}
	}
	ctx.AddResolver(fileResolver{path: path, values: values})
	return nil
}

// readConfig reads a flat YAML mapping. An empty file is an empty mapping.
func readConfig(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the file of --config: %w", err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, false))
	}
	return values, nil
}

// configKeys is every flag of the command that a file may set. --config itself cannot be one: a file
// that names another would hide where a value comes from.
func configKeys(command *kong.Node) []string {
	var keys []string
	if command == nil {
		return keys
	}
	for _, f := range command.Flags {
		if f.Name != "config" && f.Name != "help" && f.Name != "redact" {
			keys = append(keys, f.Name)
		}
	}
	return keys
}

// fileResolver gives flags the values of a configuration file.
type fileResolver struct {
	path   string
	values map[string]any
}

// Validate has nothing to do: the keys were checked when the file was read.
func (fileResolver) Validate(*kong.Application) error { return nil }

// Resolve is the value of a flag in the file, in the form the command line would give it, or nil:
// also where the environment has it, since that counts more than the file.
func (r fileResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	value, found := r.values[flag.Name]
	if !found {
		return nil, nil
	}
	if _, ok := value.(map[string]any); ok && flag.Target.Type() == reflect.TypeFor[app.Kinds]() {
		return value, nil // its mapper reads the mapping
	}
	text, err := flagText(value, takesList(flag))
	if err != nil {
		return nil, fmt.Errorf("%s: key %q %w", r.path, flag.Name, err)
	}
	return text, nil
}

// takesList reports whether a flag takes several values.
func takesList(flag *kong.Flag) bool {
	return flag.Target.Kind() == reflect.Slice || flag.Target.Type() == reflect.TypeFor[app.Kinds]()
}

// flagText writes a YAML value as the command line would have it; only a list flag takes a list.
func flagText(value any, list bool) (string, error) {
	items, isList := value.([]any)
	switch {
	case value == nil:
		return "", fmt.Errorf("has no value")
	case isList && !list:
		return "", fmt.Errorf("takes one value, not a list")
	case isList:
		texts := make([]string, 0, len(items))
		for _, item := range items {
			text, err := flagText(item, false)
			if err != nil {
				return "", err
			}
			texts = append(texts, text)
		}
		return strings.Join(texts, ","), nil
	}
	switch reflect.TypeOf(value).Kind() {
	case reflect.Map, reflect.Slice:
		return "", fmt.Errorf("takes a plain value")
	}
	return fmt.Sprint(value), nil
}

// suggestion is `, did you mean "x"?` where a known word is near, or one of the parts of word is a known word
// (allowed_origins: origins), else nothing.
func suggestion(word string, known []string) string {
	word = strings.ReplaceAll(strings.ToLower(word), "_", "-")
	best, nearest := "", 3 // three or more changed letters is another word
	for _, k := range known {
		if d := distance(word, k); d < nearest {
			best, nearest = k, d
		}
	}
	if best == "" {
		for part := range strings.SplitSeq(word, "-") {
			if slices.Contains(known, part) {
				best = part
			}
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// distance is how many letters must be inserted, dropped or changed to make a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
