package config

import (
	"errors"
	"fmt"
	"io"
)

// masked is what a secret prints as.
const masked = "********"

// Secret is text that must not be seen. However it is printed, logged or
// encoded it shows as asterisks; only Reveal returns it.
type Secret struct {
	text string
	// missing is why the file of a secret could not be read that can be done without.
	missing string
}

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text: text} }

// Missing says why the secret could not be read, where that is left to whoever needs
// it: that of a storage without which the others are enough. Else it is nil.
func (s Secret) Missing() error {
	if s.missing == "" {
		return nil
	}
	return errors.New(s.missing)
}

// Reveal returns the text. Hand it straight to what needs it.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether no secret is given.
func (s Secret) IsZero() bool { return s.text == "" && s.missing == "" }

// String returns asterisks, or nothing when there is no secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return masked
}

// Format prints the same for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText renders s as String does.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}
