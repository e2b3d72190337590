package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// changes is what an event has of a change: of the message that it changes, or of what became of it.
type changes struct {
	Target  int64 `json:"target"`
	Deleted *struct {
		By string `json:"by"`
	} `json:"deleted"`
	Edited    *struct{} `json:"edited"`
	Reactions []struct {
		Emoji string `json:"emoji"`
		Count int    `json:"count"`
	} `json:"reactions"`
}

// body says what an event is about: the text of a message, what a change does, else the data as it is.
func body(e event) string {
	switch {
	case e.Deleted != nil:
		return "(deleted by " + e.Deleted.By + ")"
	case e.Target != 0:
		return changeText(e)
	}
	text := messageText(e.Data)
	if e.Edited != nil {
		text += " (edited)"
	}
	var marks []string
	for _, r := range e.Reactions {
		marks = append(marks, fmt.Sprintf("%s %d", r.Emoji, r.Count))
	}
	if len(marks) > 0 {
		text += " [" + strings.Join(marks, ", ") + "]"
	}
	return text
}

// changeText says what a change does to its message.
func changeText(e event) string {
	var data struct {
		Data   json.RawMessage `json:"data"`
		Reason string          `json:"reason"`
		Emoji  string          `json:"emoji"`
		Remove bool            `json:"remove"`
	}
	_ = json.Unmarshal(e.Data, &data) // as much of it as there is
	switch {
	case e.Type == "edit":
		return fmt.Sprintf("%d is now: %s", e.Target, messageText(data.Data))
	case e.Type == "delete" && data.Reason != "":
		return fmt.Sprintf("%d is deleted: %s", e.Target, data.Reason)
	case e.Type == "delete":
		return fmt.Sprintf("%d is deleted", e.Target)
	case data.Remove:
		return fmt.Sprintf("%d no longer %s", e.Target, data.Emoji)
	}
	return fmt.Sprintf("%d %s", e.Target, data.Emoji)
}

func messageText(data json.RawMessage) string {
	var message struct {
		Text *string `json:"text"`
	}
	if json.Unmarshal(data, &message) == nil && message.Text != nil {
		return *message.Text
	}
	return string(data)
}
