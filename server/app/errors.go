package app

import "fmt"

// ConfigError says, in one sentence, what is wrong with a Config and what to set instead.
type ConfigError struct{ message string }

// Error is the sentence.
func (e *ConfigError) Error() string { return e.message }

func configErrorf(format string, args ...any) error {
	return &ConfigError{fmt.Sprintf(format, args...)}
}
