// Token prints a token for a user: ROOMLOG_KEY=… go run main.go mira
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

type grant struct {
	Rooms string   `json:"rooms"`
	Can   []string `json:"can"`
}

type claims struct {
	Sub    string  `json:"sub"`
	Iat    int64   `json:"iat"`
	Exp    int64   `json:"exp"`
	Grants []grant `json:"grants"`
}

func sign(user string, key []byte) (string, error) {
	now := time.Now().Unix()
	body, err := json.Marshal(claims{user, now, now + 3600, []grant{{"chat:*", []string{"read", "send"}}}})
	if err != nil {
		return "", err
	}
	part := base64.RawURLEncoding.EncodeToString
	text := part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part(body)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + part(mac.Sum(nil)), nil
}

func main() {
	token, err := sign(os.Args[1], []byte(os.Getenv("ROOMLOG_KEY")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(token)
}
