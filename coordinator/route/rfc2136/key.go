package rfc2136

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"mahavishnu/fault"
)

// shortestSecret is what RFC 8945 asks for at least with SHA-256 truncated in
// half: 16 bytes. Keys made by tsig-keygen have 32 or 64.
const shortestSecret = 16

// Key is what both sides of an update know. Its secret is never printed.
type Key struct {
	name, algorithm, secret string
}

// Algorithms that are used, as key files name them.
const (
	SHA256 = "hmac-sha256"
	SHA512 = "hmac-sha512"
)

// NewKey makes a key of its parts; the secret is in base64.
func NewKey(name, algorithm, secret string) (Key, error) {
	k := Key{
		name:      dns.CanonicalName(strings.TrimSpace(name)),
		algorithm: strings.ToLower(strings.TrimSuffix(strings.TrimSpace(algorithm), ".")),
		secret:    strings.TrimSpace(secret),
	}
	raw, err := base64.StdEncoding.DecodeString(k.secret)
	switch {
	case name == "":
		return Key{}, errors.New("the key has no name")
	case k.algorithm != SHA256 && k.algorithm != SHA512:
		return Key{}, fmt.Errorf("key %s: algorithm %q is not used: make a key with %s or %s", k.name, k.algorithm, SHA256, SHA512)
	case err != nil:
		return Key{}, fmt.Errorf("key %s: the secret is not in base64", k.name) // the reason would show a part of it
	case len(raw) < shortestSecret:
		return Key{}, fmt.Errorf("key %s: a secret of %d bytes is too short", k.name, len(raw))
	}
	if _, ok := dns.IsDomainName(k.name); !ok {
		return Key{}, fmt.Errorf("%q cannot be a key's name", name)
	}
	return k, nil
}

// ReadKey reads a file as `tsig-keygen` writes it and BIND includes it:
//
//	key "NAME" {
//		algorithm hmac-sha256;
//		secret "BASE64";
//	};
func ReadKey(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		var k Key
		if k, err = ParseKey(string(text)); err == nil {
			return k, nil
		}
	}
	return Key{}, fault.New("read the key for DNS updates from", path, err, "make one with `tsig-keygen mahavishnu` and give it to the name server, too")
}

// ReadSecret makes a key whose secret alone, in base64, is in a file.
func ReadSecret(name, algorithm, path string) (Key, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		var k Key
		if k, err = NewKey(name, algorithm, string(text)); err == nil {
			return k, nil
		}
	}
	return Key{}, fault.New("read the secret for DNS updates from", path, err, "")
}

// Name is the key's name, fully qualified in lower case.
func (k Key) Name() string { return k.name }

// String names the key without its secret.
func (k Key) String() string { return k.name + " (" + k.algorithm + ")" }

// GoString is String: %#v must not print the secret either.
func (k Key) GoString() string { return k.String() }

// ParseKey reads the text of a key file that holds exactly one key. Errors never
// quote what may be the secret.
func ParseKey(text string) (Key, error) {
	words, err := lex(text)
	if err != nil {
		return Key{}, err
	}
	if len(words) < 5 || words[0] != "key" || words[2] != "{" || words[len(words)-1] != ";" || words[len(words)-2] != "}" {
		return Key{}, errors.New(`it does not have the form key "NAME" { algorithm ...; secret "..."; };`)
	}
	found := map[string]string{}
	for body := words[3 : len(words)-2]; len(body) > 0; {
		end := slices.Index(body, ";")
		if end != 2 || found[body[0]] != "" || body[0] != "algorithm" && body[0] != "secret" {
			return Key{}, errors.New("inside the braces only an algorithm and a secret may stand, once each, and one key in all")
		}
		found[body[0]] = body[1]
		body = body[end+1:]
	}
	return NewKey(words[1], found["algorithm"], found["secret"])
}

// lex cuts a configuration in BIND's syntax into words, without comments; the
// signs { } ; are words of their own.
func lex(text string) ([]string, error) {
	var words []string
	for text != "" {
		switch c := text[0]; {
		case strings.ContainsRune(" \t\r\n", rune(c)):
			text = text[1:]
		case c == '#' || strings.HasPrefix(text, "//"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, rest, ended := strings.Cut(text[2:], "*/")
			if !ended {
				return nil, errors.New("a comment does not end")
			}
			text = rest
		case c == '{' || c == '}' || c == ';':
			words, text = append(words, string(c)), text[1:]
		case c == '"':
			word, rest, ended := strings.Cut(text[1:], `"`)
			if !ended || word == "" || strings.ContainsAny(word, "\n{};") {
				return nil, errors.New("a quotation is empty or does not end")
			}
			words, text = append(words, word), rest
		default:
			end := strings.IndexAny(text, " \t\r\n{};\"#")
			if end < 0 {
				end = len(text)
			}
			words, text = append(words, text[:end]), text[end:]
		}
	}
	return words, nil
}
