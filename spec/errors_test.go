package spec_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"roomlog/server/room"
	"roomlog/spec"
)

// catalogue is errors.json.
type catalogue struct {
	Codes []struct {
		Code      string `json:"code"`
		Status    int    `json:"status"`
		Close     *int   `json:"close"`
		Retryable bool   `json:"retryable"`
		Title     string `json:"title"`
		Cause     string `json:"cause"`
		Cure      string `json:"cure"`
	} `json:"codes"`
	ClientCodes []struct {
		Code      string `json:"code"`
		Retryable bool   `json:"retryable"`
		Title     string `json:"title"`
		Cause     string `json:"cause"`
		Cure      string `json:"cure"`
	} `json:"client_codes"`
	ResetReasons []struct {
		Reason string `json:"reason"`
		Cause  string `json:"cause"`
	} `json:"reset_reasons"`
	CloseCodes []struct {
		Code  int    `json:"code"`
		Name  string `json:"name"`
		Retry bool   `json:"retry"`
	} `json:"close_codes"`
}

func errorCatalogue(t *testing.T) catalogue {
	t.Helper()
	var c catalogue
	decodeStrictly(t, "errors.json", spec.Errors, &c)
	return c
}

// ERR-1, ERR-3: the file lists the codes that the server has, and says the same of a retry.
func TestCodesAreThoseOfTheServer(t *testing.T) {
	listed := make(map[string]bool)
	text := protocol(t)
	for _, c := range errorCatalogue(t).Codes {
		if listed[c.Code] {
			t.Errorf("%s is listed twice", c.Code)
		}
		listed[c.Code] = true
		if want := room.Code(c.Code).Retryable(); c.Retryable != want {
			t.Errorf("%s: retryable is %v here, %v in the server", c.Code, c.Retryable, want)
		}
		if c.Status < 400 || c.Status > 599 || c.Title == "" || c.Cause == "" || c.Cure == "" {
			t.Errorf("%s lacks a status, title, cause or cure", c.Code)
		}
		if !strings.Contains(text, "`"+c.Code+"`") {
			t.Errorf("PROTOCOL.md does not say when %s is given", c.Code)
		}
	}
	for _, c := range room.Codes() {
		if !listed[string(c)] {
			t.Errorf("the server has the code %s, which errors.json does not list", c)
		}
		delete(listed, string(c))
	}
	for c := range maps.Keys(listed) {
		t.Errorf("errors.json lists %s, which the server does not have", c)
	}
}

// The codes that a client makes itself are none of the server's. A test in client/ holds them equal to its own.
func TestCodesOfTheClientAreItsOwn(t *testing.T) {
	for _, c := range errorCatalogue(t).ClientCodes {
		if slices.Contains(room.Codes(), room.Code(c.Code)) {
			t.Errorf("%s is a code of the server, too", c.Code)
		}
		if c.Title == "" || c.Cause == "" || c.Cure == "" {
			t.Errorf("%s lacks a title, cause or cure", c.Code)
		}
	}
}

// RESET-1: the reasons, in the file, in the server and in the schemas.
func TestResetReasonsAreThoseOfTheServer(t *testing.T) {
	var listed []string
	for _, r := range errorCatalogue(t).ResetReasons {
		listed = append(listed, r.Reason)
		if r.Cause == "" {
			t.Errorf("%s lacks a cause", r.Reason)
		}
	}
	var server []string
	for _, r := range room.ResetReasons() {
		server = append(server, string(r))
	}
	var values struct {
		Defs struct {
			Reason struct {
				Enum []string `json:"enum"`
			} `json:"reason"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(readFile(t, "schema/values.json"), &values); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(listed, server) || !slices.Equal(values.Defs.Reason.Enum, server) {
		t.Errorf("reset reasons: errors.json %q, values.json %q, server %q", listed, values.Defs.Reason.Enum, server)
	}
}

// CLOSE-1, CLOSE-2: every close code that an error has is listed, named by the rule, and in the
// range that says whether to come back.
func TestCloseCodes(t *testing.T) {
	c := errorCatalogue(t)
	retry := make(map[int]bool)
	text := protocol(t)
	for _, cc := range c.CloseCodes {
		retry[cc.Code] = cc.Retry
		if want := cc.Code < 4500; cc.Retry != want {
			t.Errorf("close code %d: retry is %v", cc.Code, cc.Retry)
		}
		if cc.Name == "" || !strings.Contains(text, decimal(cc.Code)) {
			t.Errorf("close code %d has no name, or PROTOCOL.md does not name it", cc.Code)
		}
	}
	for _, e := range c.Codes {
		if e.Close == nil {
			continue
		}
		if _, ok := retry[*e.Close]; !ok {
			t.Errorf("%s closes with %d, which is not listed", e.Code, *e.Close)
		}
	}
}
