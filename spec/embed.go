// Package spec carries the part of the specification that a running server shows: its error codes.
package spec

import _ "embed"

// Errors is errors.json: the codes with status, close code, cause and cure, those that clients make themselves,
// and the reset reasons.
//
//go:embed errors.json
var Errors []byte
