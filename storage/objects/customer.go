package objects

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"strings"

	"mahavishnu/fault"
)

// customerBytes is the length of a key that a server encrypts with and does not keep.
const customerBytes = 32

// CustomerKey returns a key that goes along with each request and that the server
// does not keep: 32 bytes in base64 or hexadecimal, by value or from a file; nil
// when there is neither. where is the storage it is for.
func CustomerKey(where, value, file string) ([]byte, error) {
	const hint = "make one with `openssl rand -base64 32`, and keep it where it cannot be lost: without it nothing can be read"
	if file != "" {
		text, err := Secret(file)
		if err != nil {
			return nil, err
		}
		where, value = file, text
	}
	if value == "" {
		return nil, nil
	}
	value = strings.TrimSpace(value)
	key, err := base64.StdEncoding.DecodeString(value)
	if err != nil || len(key) != customerBytes {
		key, err = hex.DecodeString(value)
	}
	if err != nil || len(key) != customerBytes {
		return nil, fault.New("open storage", where, errors.New("the customer key is not 32 bytes in base64 or hexadecimal"), hint)
	}
	return key, nil
}

// Secret returns what a file holds, which is a secret and nothing else.
func Secret(file string) (string, error) {
	const op = "open storage"
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fault.New(op, file, err, "name a file that this user can read, with the secret and nothing else in it")
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fault.New(op, file, errors.New("there is no secret in it"), "write the secret into it, and nothing else")
	}
	return secret, nil
}
